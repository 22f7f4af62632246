// What this site can do only with a script. All pages work without it.
"use strict";

// Mark the current page in the bar of links.
for (const link of document.querySelectorAll(".site-head a")) {
  if (link.pathname === location.pathname) {
    link.setAttribute("aria-current", "page");
  }
}

// Say which stage has served this page, judging by its port, and where its lesson is.
const isChinese = document.documentElement.lang === "zh";
const stages = {
  7788: [1, "one client at a time", "一次服务一个客户端"],
  8888: [2, "a process for each connection", "每个连接一个进程"],
  8000: [3, "a thread for each connection", "每个连接一个线程"],
  9001: [4, "with the ResponseBuilder", "使用 ResponseBuilder"],
  8001: [5, "the gateway", "网关"],
  9002: [6, "one thread for all clients", "一个线程服务所有客户端"],
};
const served = document.querySelector("[data-served]");
const stage = stages[location.port];
if (served && stage) {
  const [number, idea, chineseIdea] = stage;
  const lesson = document.createElement("a");
  lesson.href = `${isChinese ? "/zh" : ""}/lessons/lesson-${number}.html`;
  if (isChinese) {
    lesson.textContent = `第 ${number} 课`;
    served.replaceChildren(`这个页面来自阶段 ${number}：${chineseIdea}。讲它的是`, lesson, "。");
  } else {
    lesson.textContent = `Lesson ${number}`;
    served.replaceChildren(`This page was served by stage ${number}, ${idea}. `, lesson, " is about it.");
  }
}

// Show what was searched for. With textContent it stays text: no markup in it can run.
const query = new URLSearchParams(location.search).get("q");
const found = document.querySelector("[data-query]");
if (query && found) {
  found.textContent = `You searched for “${query}”. The server cut the query off and served the same file.`;
  document.querySelector("#q").value = query;
}

// Close a dropdown after a click elsewhere, or when Escape is pressed.
const dropdowns = document.querySelectorAll(".bar details");
document.addEventListener("click", (event) => {
  for (const dropdown of dropdowns) {
    if (!dropdown.contains(event.target)) {
      dropdown.open = false;
    }
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const dropdown of dropdowns) {
      dropdown.open = false;
    }
  }
});

// What this site can do only with a script. All pages work without it.
"use strict";

// Mark the current page in the bar of links.
for (const link of document.querySelectorAll(".site-head a")) {
  if (link.pathname === location.pathname) {
    link.setAttribute("aria-current", "page");
  }
}

// Say which stage has served this page, judging by its port.
const stages = {
  7788: "stage 1, one client at a time",
  8888: "stage 2, a process for each connection",
  8000: "stage 3, a thread for each connection",
  9001: "stage 4, with the ResponseBuilder",
  8001: "stage 5, the gateway",
  9002: "stage 6, one thread for all clients",
};
const served = document.querySelector("[data-served]");
if (served && stages[location.port]) {
  served.textContent = `This page was served by ${stages[location.port]}.`;
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

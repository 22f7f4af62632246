// What this site can do only with a script. Without it, all pages still work.
"use strict";

// Mark the page that is shown in the bar of links.
for (const link of document.querySelectorAll(".site-head a")) {
  if (link.pathname === location.pathname) {
    link.setAttribute("aria-current", "page");
  }
}

// Say which stage has served this page: its port tells.
const stages = {
  7788: "stage 1, one client at a time",
  8888: "stage 2, a process for each connection",
  8000: "stage 3, a thread for each connection",
  9001: "stage 4, with the ResponseBuilder",
};
const served = document.querySelector("[data-served]");
if (served && stages[location.port]) {
  served.textContent = `This page was served by ${stages[location.port]}.`;
}

// Show what was searched for. textContent takes it as text: no markup in it can run.
const query = new URLSearchParams(location.search).get("q");
const found = document.querySelector("[data-query]");
if (query && found) {
  found.textContent = `You searched for “${query}”. The server cut the query off and served the same file.`;
  document.querySelector("#q").value = query;
}

// A dropdown closes when the next click or the Escape key goes elsewhere.
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

"use strict";
// Runs before the page is drawn, so that a chosen theme does not flash; without a choice the system's holds.
(() => {
  const chosen = localStorage.getItem("hubgate-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
})();

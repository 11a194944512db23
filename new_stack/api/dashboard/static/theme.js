"use strict";
// Runs before the page is drawn, so that a chosen theme does not flash; without a choice the system's holds.
// Paper is light: a browser prints the theme that is seen, and charts are pictures in its colours.
(() => {
  const show = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    dispatchEvent(new Event("theme"));
  };
  const chosen = () => localStorage.getItem("hubgate-theme");
  show(chosen());
  addEventListener("beforeprint", () => show("light"));
  addEventListener("afterprint", () => show(chosen()));
})();

"use strict";
(() => {
  const pane = document.getElementById("pane");
  const body = document.getElementById("pane-body");
  const title = document.getElementById("pane-title");
  const cells = [...document.querySelectorAll(".transcript")];
  const homes = new Map(cells.map((cell) => [cell, cell.parentElement]));
  let opener = null;

  const shown = () => body.firstElementChild;
  const button = (name) => pane.querySelector(`[data-do="${name}"]`);
  const differences = () => [...body.querySelectorAll("li.different, li.declared")];

  const putBack = () => {
    const cell = shown();
    if (cell) homes.get(cell).append(cell);
  };

  const show = (cell) => {
    if (shown() === cell) return;
    putBack();
    body.append(cell);
    body.scrollTop = 0;
    title.textContent = cell.dataset.title;
    const at = cells.indexOf(cell);
    button("previous").disabled = at === 0;
    button("next").disabled = at === cells.length - 1;
    button("difference").disabled = differences().length === 0;
    if (!pane.open) pane.showModal();
    title.focus();
    if (differences().length) toDifference();
  };

  const step = (by) => {
    const next = cells[cells.indexOf(shown()) + by];
    if (next) location.replace(`#${next.id}`);
  };

  const toDifference = () => {
    const all = differences();
    const at = all.findIndex((row) => row.classList.contains("at"));
    all.forEach((row) => row.classList.remove("at"));
    const next = all[(at + 1) % all.length];
    if (!next) return;
    next.classList.add("at");
    next.scrollIntoView({ block: "center" });
  };

  const actions = {
    previous: () => step(-1),
    next: () => step(1),
    difference: toDifference,
    close: () => pane.close(),
  };
  const keys = { ArrowLeft: "previous", ArrowRight: "next", n: "difference" };

  pane.addEventListener("click", (event) => {
    if (event.target === pane) pane.close();
    const name = event.target.dataset.do;
    if (name) actions[name]();
  });
  pane.addEventListener("keydown", (event) => {
    const name = keys[event.key];
    if (!name || event.ctrlKey || event.metaKey || event.altKey || button(name).disabled) return;
    event.preventDefault();
    actions[name]();
  });
  pane.addEventListener("close", () => {
    const home = homes.get(shown());
    putBack();
    history.replaceState(null, "", "#scenarios");
    (opener?.isConnected ? opener : home.querySelector("summary")).focus();
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#cell-"]');
    if (link) {
      opener = link;
      if (location.hash === link.hash) follow();
    }
  });

  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (homes.has(target)) {
      show(target);
      return;
    }
    if (pane.open) pane.close();
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    target.querySelector("th details")?.setAttribute("open", "");
    target.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  // The browser scrolls to the fragment once the page has loaded: what is shown comes after that.
  addEventListener("load", () => setTimeout(() => location.hash && follow()));
})();

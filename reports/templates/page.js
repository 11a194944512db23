"use strict";
(() => {
  const pane = document.getElementById("pane");
  const body = document.getElementById("pane-body");
  const title = document.getElementById("pane-title");
  const cells = [...document.querySelectorAll(".transcript[id]")].sort((a, b) => a.dataset.at - b.dataset.at);
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
    pane.dispatchEvent(new Event("shown"));
    if (!pane.open) pane.showModal();
    title.focus();
    if (differences().length) toDifference();
  };

  const step = (by) => {
    const next = cells[cells.indexOf(shown()) + by];
    if (next) location.replace(`#${next.id}`);
  };

  const mark = (row) => {
    body.querySelector("li.at")?.classList.remove("at");
    row.classList.add("at");
    row.scrollIntoView({ block: "center" });
  };

  const toDifference = () => {
    const all = differences();
    const at = all.findIndex((row) => row.classList.contains("at"));
    const first = all.find((row) => row.classList.contains("different"));
    mark((at < 0 && first) || all[(at + 1) % all.length]);
  };

  const copy = async (button) => {
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.body.appendChild(Object.assign(document.createElement("textarea"), { value: text }));
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const name = button.textContent;
    button.textContent = "copied";
    setTimeout(() => (button.textContent = name), 1500);
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", () => button.textContent === "copied" || copy(button));
  }

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
    const link = event.target.closest?.('a[href^="#cell-"], a[href^="#row-"]');
    if (link) {
      opener = link;
      if (location.hash === link.hash) follow();
    }
  });

  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) {
      if (pane.open) pane.close();
      return;
    }
    const cell = target.closest(".transcript[id]");
    if (cell) {
      show(cell);
      if (target !== cell) mark(target);
      return;
    }
    if (pane.open) pane.close();
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    target.querySelector("th details")?.setAttribute("open", "");
    target.scrollIntoView();
  };

  const search = document.getElementById("scenario-search");
  if (search) {
    const rows = [...document.querySelectorAll("#scenarios tr[data-words]")];
    const chips = [...document.querySelectorAll("#scenarios [data-word]")];
    const texts = rows.map((row) => row.cells[0].textContent.toLowerCase());
    const narrow = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = chips.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset.word);
      const asked = words.length + chosen.length > 0;
      let left = 0;
      rows.forEach((row, at) => {
        const fits = words.every((word) => texts[at].includes(word));
        const has = !chosen.length || chosen.some((word) => row.dataset.words.split(" ").includes(word));
        row.classList.toggle("away", !(fits && has));
        row.classList.toggle("asked", asked);
        left += fits && has;
      });
      document.getElementById("scenario-count").textContent = asked ? `${left} of ${rows.length}` : "";
      const suites = document.getElementById("suites");
      if (suites && asked) suites.open = true;
    };
    search.closest("[hidden]").hidden = false;
    search.addEventListener("input", narrow);
    for (const chip of chips)
      chip.addEventListener("click", () => {
        chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
        narrow();
      });
  }
  addEventListener("hashchange", follow);
  // What failed is told in print, too, and folded again afterwards.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("tbody.bad details, details.example")].filter((part) => !part.open);
    for (const part of unfolded) part.open = true;
  });
  addEventListener("afterprint", () => unfolded.forEach((part) => (part.open = false)));
  // The browser scrolls to the fragment once the page has loaded: what is shown comes after that.
  addEventListener("load", () => setTimeout(() => location.hash && follow()));
})();

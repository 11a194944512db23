
// A transcript as a sequence diagram: a lane for each actor and one for the server, equal stretches folded.
(() => {
  const pane = document.getElementById("pane");
  const body = document.getElementById("pane-body");
  const asDiagram = document.getElementById("as-diagram");
  const oneActor = document.getElementById("one-actor");
  const FOLDED_FROM = 5;
  const TO_SERVER = ["send", "request"];
  const FROM_SERVER = ["receive", "response"];
  const make = (name, properties = {}) => Object.assign(document.createElement(name), properties);

  const rows = () => [...body.querySelectorAll(".transcript > ol:not(.sequence) > li")];
  const actor = (row) => row.querySelector(".who").textContent;

  const step = (row, lanes) => {
    const lane = lanes.indexOf(actor(row));
    const { event, said } = row.dataset;
    const across = TO_SERVER.includes(event) || FROM_SERVER.includes(event);
    const item = make("li", { className: row.className });
    const arrow = make("button", { type: "button", title: row.innerText });
    arrow.className = across ? `arrow ${TO_SERVER.includes(event) ? "to" : "from"}` : "remark";
    arrow.style.gridColumn = across ? `${lane + 1} / -1` : `${lane + 1} / span 1`;
    arrow.style.setProperty("--span", lanes.length - lane);
    arrow.append(make("span", { textContent: across ? said : event }));
    arrow.setAttribute("aria-label", `${actor(row)} ${event} ${said}`);
    arrow.addEventListener("click", () => {
      asDiagram.checked = false;
      redraw();
      body.querySelector("li.at")?.classList.remove("at");
      row.classList.add("at");
      row.scrollIntoView({ block: "center" });
    });
    item.append(arrow);
    return item;
  };

  const folded = (steps) => {
    const item = make("li", { className: "fold" });
    const more = make("button", { type: "button", textContent: `${steps.length} equal steps` });
    more.addEventListener("click", () => item.replaceWith(...steps));
    item.append(more);
    return item;
  };

  const draw = (shown) => {
    const lanes = [...new Set(shown.map(actor))];
    const list = make("ol", { className: "sequence" });
    list.style.setProperty("--lanes", lanes.length + 1);
    const heads = make("li", { className: "lanes" });
    for (const name of [...lanes, "server"]) heads.append(make("b", { textContent: name }));
    list.append(heads);
    for (let at = 0; at < shown.length; ) {
      let end = at;
      while (end < shown.length && shown[end].className.split(" ")[0] === "same") end += 1;
      const steps = shown.slice(at, Math.max(end, at + 1)).map((row) => step(row, lanes));
      if (steps.length < FOLDED_FROM) list.append(...steps);
      else list.append(steps[0], folded(steps.slice(1, -1)), steps.at(-1));
      at += steps.length;
    }
    return list;
  };

  const redraw = () => {
    body.querySelector(".sequence")?.remove();
    for (const row of rows()) row.hidden = oneActor.value !== "" && actor(row) !== oneActor.value;
    const shown = rows().filter((row) => !row.hidden);
    body.classList.toggle("diagram", asDiagram.checked && shown.length > 0);
    if (asDiagram.checked && shown.length) rows()[0].parentElement.before(draw(shown));
  };

  pane.addEventListener("shown", () => {
    const names = [...new Set(rows().map(actor))];
    const before = oneActor.value;
    oneActor.replaceChildren(new Option("all", ""), ...names.map((name) => new Option(name, name)));
    oneActor.value = names.includes(before) ? before : "";
    redraw();
  });
  pane.addEventListener("close", () => {
    for (const list of document.querySelectorAll(".sequence")) list.remove();
    for (const row of document.querySelectorAll("#transcripts li[hidden]")) row.hidden = false;
  });
  for (const control of [asDiagram, oneActor]) control.addEventListener("change", redraw);
})();


// The values of a figure where the pointer is, read back from its lines by the scales that it was drawn with; a click
// leads to the jobs of that moment.
(() => {
  const tip = document.body.appendChild(Object.assign(document.createElement("div"), { id: "tip", hidden: true }));
  const scale = (words) => {
    const [low, high, start, end, log] = words.split(" ").map(Number);
    return (place) => {
      const share = (place - start) / (end - start);
      return log ? 10 ** (Math.log10(low) + share * Math.log10(high / low)) : low + share * (high - low);
    };
  };
  const round = (value) => Number(value.toPrecision(3)).toLocaleString("en");
  const across = (figure, value) => {
    if (figure.dataset.xUnit !== "percentile") return `${round(value)} ${figure.dataset.xUnit}`;
    const percent = 100 * (1 - 10 ** -value);
    return `p${Number(percent.toFixed(percent < 99 ? 0 : percent < 99.9 ? 1 : 3))}`;
  };

  const nearest = (line, left) => {
    const found = [...line.getAttribute("d").matchAll(/[ML](\S+) (\S+)/g)].map((one) => [+one[1], +one[2]]);
    return found.reduce((best, one) => (Math.abs(one[0] - left) < Math.abs(best[0] - left) ? one : best));
  };

  const show = (moments, value) => {
    const off = (moment) => Math.abs(moment.dataset.x - value);
    const found = moments.reduce((best, one) => (off(one) < off(best) ? one : best));
    found.closest("details").open = true;
    for (const one of moments) one.classList.toggle("at", one === found);
    found.scrollIntoView({ block: "nearest" });
    found.focus({ preventScroll: true });
  };

  for (const figure of document.querySelectorAll("svg[data-x]")) {
    const [x, y] = [scale(figure.dataset.x), scale(figure.dataset.y)];
    const place = (event) => {
      const box = figure.getBoundingClientRect();
      return ((event.clientX - box.left) / box.width) * figure.viewBox.baseVal.width;
    };
    const moments = [...figure.parentElement.querySelectorAll(".moments li")];
    if (moments.length) {
      figure.classList.add("leads");
      figure.addEventListener("click", (event) => show(moments, x(place(event))));
    }
    figure.addEventListener("pointermove", (event) => {
      const left = place(event);
      const lines = [...figure.querySelectorAll("path[data-label]")].filter((line) => line.getAttribute("d"));
      if (!lines.length) return;
      const at = lines.map((line) => nearest(line, left));
      const told = lines.map((line, index) => `${line.dataset.label}: ${round(y(at[index][1]))} ${figure.dataset.unit}`);
      const limits = [...figure.querySelectorAll(".limit-label")].map((label) => label.textContent);
      const more = moments.length ? ["click for its slowest jobs"] : [];
      tip.textContent = [across(figure, x(at[0][0])), ...told, ...limits, ...more].join("\n");
      tip.hidden = false;
      tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
      tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
    });
    figure.addEventListener("pointerleave", () => (tip.hidden = true));
  }
})();

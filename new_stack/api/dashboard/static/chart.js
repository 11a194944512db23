// <time-chart>: lines over time, drawn by uPlot, with a sentence for who does not see them.
import { clock, moment, span } from "./format.js";

const HEIGHT = 190;
/** How wide a letter of an axis is, at most, in px. */
const LETTER = 7.5;
const HOUR_S = 3600;
/** The steps of an axis of times, in ms, so that its labels are round. */
const TIMES = [[1, [1, 2, 5, 10, 20, 50, 100, 200, 500]], [1000, [1, 2, 5, 10, 20, 30]], [60_000, [1, 2, 5, 10, 20, 30]], [3_600_000, [1, 2, 6, 12, 24, 48, 168]]]
  .flatMap(([unit, steps]) => steps.map((step) => unit * step));

const lonely = (values) => values.flatMap((value, at) => (value != null && values[at - 1] == null && values[at + 1] == null ? [at] : []));

/** What one line is: `label`, `values`, the CSS variable of its colour, and whether the area below it is filled. */
class TimeChart extends HTMLElement {
  #plot = null;
  #shape = "";
  #data = null;
  #watch = new ResizeObserver(() => this.#plot?.setSize({ width: this.clientWidth, height: HEIGHT }));
  #again = () => this.#build();

  /** `{ at: seconds[], lines: [...], format, now }` */
  set data(data) {
    this.#data = data;
    if (this.isConnected) this.#show();
  }

  connectedCallback() {
    this.setAttribute("role", "img");
    this.#watch.observe(this);
    addEventListener("theme", this.#again);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.#again);
    if (this.#data) this.#show();
  }

  disconnectedCallback() {
    this.#watch.disconnect();
    removeEventListener("theme", this.#again);
    matchMedia("(prefers-color-scheme: dark)").removeEventListener("change", this.#again);
    this.#plot?.destroy();
    this.#plot = null;
  }

  #show() {
    const { at, lines } = this.#data;
    const shape = lines.map(({ label }) => label).join("\n");
    this.setAttribute("aria-label", this.#sentence());
    if (!this.#plot || shape !== this.#shape) this.#build();
    else this.#plot.setData([at, ...lines.map(({ values }) => values)]);
    this.#shape = shape;
  }

  #sentence() {
    const { at, lines, format, title } = this.#data;
    const said = lines.map(({ label, values }) => {
      const known = values.filter((value) => value != null);
      if (!known.length) return `${label}: nothing`;
      return `${label}: last ${format(known.at(-1))}, at most ${format(Math.max(...known))}`;
    });
    return `${title}, ${at.length ? `since ${clock(at[0] * 1000)}` : "no time yet"}. ${said.join("; ")}.`;
  }

  #build() {
    this.#plot?.destroy();
    if (!this.#data) return;
    const style = getComputedStyle(this);
    const colour = (name) => style.getPropertyValue(name).trim();
    const { at, lines, format, now } = this.#data;
    const axis = {
      stroke: colour("--soft"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    const options = {
      width: this.clientWidth || 400,
      height: HEIGHT,
      padding: [10, 24, 0, 0],
      cursor: { points: { size: 7 }, drag: { x: false, y: false } },
      legend: { show: true, live: true },
      scales: { y: { range: (_plot, _least, most) => [0, most > 0 ? most * 1.1 : 1] } },
      axes: [
        { ...axis, values: (_plot, splits) => splits.map((s) => this.#tick(s)), space: 70, size: 30 },
        { ...axis, ...(format === span ? { incrs: TIMES } : {}), values: (_plot, splits) => splits.map(format), size: (_plot, said) => Math.max(48, ...(said ?? []).map((text) => 16 + LETTER * text.length)) },
      ],
      series: [
        { label: "", value: (_plot, s) => (s == null ? "" : moment(s * 1000, now())) },
        ...lines.map(({ label, colour: name, fill }) => ({
          label,
          stroke: colour(name),
          width: 1.75,
          fill: fill ? `color-mix(in srgb, ${colour(name)} 14%, transparent)` : undefined,
          // No line leads to a value between two that are not known: it is a point.
          points: { show: true, size: 5, width: 0, fill: colour(name), filter: (_plot, index) => lonely(this.#data.lines[index - 1].values) },
          value: (_plot, value, _series, index) => (index == null ? "" : format(value)),
        })),
      ],
    };
    this.#plot = new globalThis.uPlot(options, [at, ...lines.map(({ values }) => values)], this);
  }

  #tick(seconds) {
    const { at } = this.#data;
    const long = at.length && at.at(-1) - at[0] > 30 * HOUR_S;
    const when = new Date(seconds * 1000);
    return long ? when.toLocaleDateString("en-GB", { day: "numeric", month: "short" }) : clock(seconds * 1000).slice(0, 5);
  }
}

customElements.define("time-chart", TimeChart);

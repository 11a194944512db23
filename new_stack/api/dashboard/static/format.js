// Figures and times as a person reads them. Times are ms since the epoch by the server's clock.
const SCALES = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];

/** A count: whole up to 9,999, then with three figures and k, M or G. */
export function count(value) {
  if (value == null) return "–";
  if (Math.abs(value) < 10_000) return (Number.isInteger(value) ? value : Number(value.toPrecision(3))).toLocaleString("en");
  const [size, unit] = SCALES.find(([least]) => Math.abs(value) >= least);
  return `${Number((value / size).toPrecision(3))}${unit}`;
}

/** "1 job", "2 jobs". */
export const plural = (number, word, words = `${word}s`) => `${count(number)} ${number === 1 ? word : words}`;

/** A length of time, with two figures or two units at most. */
export function span(ms) {
  if (ms == null || Number.isNaN(ms)) return "–";
  if (ms < 0) return "0 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 60_000) return `${Math.floor(ms / 1000)} s`;
  if (ms < 3.6e6) return `${Math.floor(ms / 6e4)} min${ms < 6e5 && Math.floor(ms / 1000) % 60 ? ` ${Math.floor(ms / 1000) % 60} s` : ""}`;
  if (ms < 8.64e7) return `${Math.floor(ms / 3.6e6)} h ${Math.floor(ms / 6e4) % 60} min`;
  return `${Math.floor(ms / 8.64e7)} d ${Math.floor(ms / 3.6e6) % 24} h`;
}

/** How long ago something was; the seconds count in the first minute only. */
export function ago(at, now) {
  if (at == null) return "never";
  const ms = now - at;
  return ms < 1000 ? "just now" : `${span(ms < 60_000 ? ms : ms - (ms % 60_000))} ago`;
}

export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

/** A moment: the time of day, the day where it is not today, and the year where it is not this one. */
export function moment(ms, now) {
  if (ms == null) return "–";
  const [at, today] = [new Date(ms), new Date(now)];
  const year = at.getFullYear() === today.getFullYear() ? undefined : "numeric";
  const day = at.toDateString() === today.toDateString() ? "" : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short", year })} `;
  return `${day}${at.toLocaleTimeString("en-GB")}`;
}

export function bytes(value) {
  if (value == null) return "–";
  for (const [size, unit] of [[2 ** 30, "GB"], [2 ** 20, "MB"], [2 ** 10, "KB"]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${unit}`;
  }
  return `${value} B`;
}

export const percent = (part, whole) => (whole ? `${Number(((100 * part) / whole).toPrecision(part && part / whole < 0.1 ? 2 : 3))} %` : "–");

/** A state as it is shown: `claimed` is the protocol's word for what a person calls running. */
export const stateWord = (state) => (state === "claimed" ? "running" : state);

/** JSON laid out over lines; what is no JSON as it is. */
export const pretty = (value) => (value === undefined ? "" : JSON.stringify(value, null, 2));

// Overview: what needs a person, what waits and runs, and how it went.
import { get, now } from "../api.js";
import "../chart.js";
import { ago, bytes, count, percent, plural, span } from "../format.js";
import { choices, jobLink, jobsWhere, limits, tile } from "../marks.js";
import { to } from "../router.js";
import { servicesTable, withTotals } from "./services.js";
import { html, nothing } from "../vendor/lit-html/lit-html.js";

const RANGES = { "1h": "1 hour", "24h": "24 hours", "7d": "7 days" };
const MINUTE_MS = 60_000;

/** The whole grid of a history's steps: what is left out of an answer was nothing. */
function stepsOf(history) {
  const points = new Map(history.series[0]?.points.map((point) => [point.at, point]));
  const found = [];
  for (let at = history.from; at < history.until; at += history.step_ms) found.push(points.get(at) ?? { at });
  return found;
}

const latest = (steps, name) => steps.findLast((step) => step[name]?.count);

export function overviewView(page) {
  let state = null;
  const range = () => (RANGES[page.route.query.range] ? page.route.query.range : "1h");

  const rate = (steps, name) => {
    const { step_ms: whole } = state.history;
    const over = now() - steps.at(-1).at;
    return steps.map((step, index) => {
      const reach = index === steps.length - 1 ? over : whole;
      // What has just begun says nothing yet about its rate.
      return reach * 3 < whole ? null : ((step[name] ?? 0) * MINUTE_MS) / Math.min(reach, whole);
    });
  };

  const chart = (title, lines, format) => html`<section class="card"><h2>${title}</h2>
    <time-chart .data=${{ title, at: state.steps.map(({ at }) => at / 1000), lines, format, now }}></time-chart></section>`;

  const charts = () => {
    const { steps } = state;
    const share = (name, part) => steps.map((step) => step[name]?.[part] ?? null);
    const perMinute = (value) => (value == null ? "–" : count(value));
    return html`<div class="pair">
      ${chart("Jobs per minute", [
        { label: "submitted", values: rate(steps, "submitted"), colour: "--accent" },
        { label: "completed", values: rate(steps, "completed"), colour: "--completed", fill: true },
        { label: "failed", values: rate(steps, "failed"), colour: "--failed" },
        { label: "cancelled", values: rate(steps, "cancelled"), colour: "--cancelled" },
      ], perMinute)}
      ${chart("Backlog", [{ label: "waiting", values: steps.map((step) => step.waiting ?? null), colour: "--pending", fill: true }], perMinute)}
      ${chart("From submission to start", [
        { label: "p50", values: share("wait_ms", "p50"), colour: "--accent" },
        { label: "p99", values: share("wait_ms", "p99"), colour: "--cancelled" },
      ], span)}
      ${chart("From start to end", [
        { label: "p50", values: share("run_ms", "p50"), colour: "--accent" },
        { label: "p99", values: share("run_ms", "p99"), colour: "--cancelled" },
      ], span)}
    </div>`;
  };

  const needs = () => {
    const { attention, leases } = state.overview;
    if (!attention.length) return html`<section class="card needs fine"><h2>Nothing needs a person</h2></section>`;
    return html`<section class="card needs"><h2>What needs a person</h2><ul class="plain">
      ${attention.map((one) => html`<li>${one.text}${one.since ? html` <small class="soft">for ${span(now() - one.since)}</small>` : nothing} ${remedy(one)}</li>`)}
      ${leases.about_to_expire.map((lease) => html`<li class="soft">${jobLink(lease.job_id)} on ${lease.worker_id}: its lease ends ${lease.expires_at > now() ? `in ${span(lease.expires_at - now())}` : "now"}, then it runs again</li>`)}
    </ul></section>`;
  };

  const remedy = ({ kind, subject }) => {
    if (kind === "unmet") return html`<a href=${to("jobs", state.overview.queue.unmet[subject].example)}>See one of them</a>`;
    if (kind === "unserved") return jobsWhere({ service: subject, state: "pending" }, "Show them");
    if (kind === "paused") return html`<a href=${to("services")}>See the services</a>`;
    if (kind === "lease" || kind === "no_workers") return html`<a href=${to("workers")}>See the workers</a>`;
    return nothing;
  };

  /** The other figure of a step, and when that was: there may have been nothing since. */
  const worst = (step, name) => (step ? `p99 ${span(step[name].p99)}, ${ago(step.at, now())}` : "nothing yet");

  const tiles = () => {
    const { queue, workers, redis, connections } = state.overview;
    const total = state.history.series[0]?.total;
    const [wait, run] = [latest(state.steps, "wait_ms"), latest(state.steps, "run_ms")];
    const over = `${RANGES[range()]}:`;
    const oldest = Math.min(...state.overview.services.map((one) => one.oldest_at ?? Infinity));
    const last = state.steps.at(-2);
    return html`<dl class="tiles">
      ${tile("Pending", jobsWhere({ state: "pending" }, count(queue.pending)), [oldest < Infinity ? `oldest ${span(now() - oldest)}` : "", queue.delayed ? `${count(queue.delayed)} not due yet` : ""].filter(Boolean).join(", "))}
      ${tile("Running", jobsWhere({ state: "claimed" }, count(queue.claimed)), `${count(workers.busy)} of ${plural(workers.alive, "worker")} busy`)}
      ${tile("Completed per minute", count(last ? ((last.completed ?? 0) * MINUTE_MS) / state.history.step_ms : 0), `${over} ${plural(total?.completed ?? 0, "job")}`)}
      ${tile("Wait to start, p50", span(wait?.wait_ms.p50), worst(wait, "wait_ms"), `${over} ${span(total?.wait_ms.p50)}, p99 ${span(total?.wait_ms.p99)}`)}
      ${tile("Run, p50", span(run?.run_ms.p50), worst(run, "run_ms"), `${over} ${span(total?.run_ms.p50)}, p99 ${span(total?.run_ms.p99)}`)}
      ${tile("Failed", html`<a href=${to("failures")}>${count(total?.failed ?? 0)}</a>`, `${percent(total?.failed ?? 0, (total?.failed ?? 0) + (total?.completed ?? 0))} of ended in ${RANGES[range()]}`)}
      ${tile("Redis", bytes(redis.used_bytes), redis.limit_bytes ? `${percent(redis.used_bytes, redis.limit_bytes)} of ${bytes(redis.limit_bytes)}` : "no limit set")}
      ${tile("Connected here", count(connections.client + connections.sse + connections.monitor), `${plural(connections.client, "client socket")}, ${plural(connections.monitor, "monitor")}`, plural(connections.sse, "event stream"))}
    </dl>`;
  };

  return {
    title: "Overview",
    every: 2000,
    async load(signal) {
      const asked = range();
      const [overview, history, byService] = await Promise.all([
        get("/api/overview", {}, signal),
        get("/api/history", { range: asked }, signal),
        get("/api/history", { range: asked, by: "service" }, signal),
      ]);
      state = { overview, history, steps: stepsOf(history), services: withTotals(overview, byService) };
    },
    routed: () => page.reload(),
    render() {
      if (!state) return html`<p class="empty" role="status">Reading…</p>`;
      return html`
        ${needs()} ${tiles()}
        ${choices("How far back", Object.entries(RANGES).map(([value, name]) => ({ name, value, address: to("", { range: value === "1h" ? "" : value }) })), range())}
        ${charts()}
        <h2>Services</h2>
        ${state.services.length ? servicesTable(state.services, `in ${RANGES[range()]}`) : html`<p class="empty">No service has jobs or workers.</p>`}
        ${limits("Connections of other API servers than the one that serves this page.",
          `Each point of the charts is ${span(state.history.step_ms)}; the last one is not over yet. Percentiles are within 5 % (9 % where a step spreads widely).`)}`;
    },
  };
}

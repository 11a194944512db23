// Services: what waits for each, who serves it, how it went in the last hour; and a brake.
import { get, now, post } from "../api.js";
import { ask } from "../ask.js";
import { ago, count, percent, plural, span } from "../format.js";
import { action, jobsWhere, limits } from "../marks.js";
import { html, nothing } from "../vendor/lit-html/lit-html.js";

/** The services of an overview, each with its totals of a history; those with a history alone are there as well: what
 *  no worker names is served by those that claim jobs of every service. */
export function withTotals({ services, workers }, history) {
  const totals = new Map(history.series.map((series) => [series.service, series.total]));
  const known = new Set(services.map(({ service }) => service));
  const past = [...totals.keys()].filter((name) => name && !known.has(name));
  const quiet = { waiting: 0, oldest_at: null, workers: workers.every_service, unserved_since: null, unmet_since: null, paused_since: null };
  return [...services, ...past.map((service) => ({ service, ...quiet }))].map((one) => ({ ...one, total: totals.get(one.service) ?? null }));
}

const halves = (times) => (times?.count ? `${span(times.p50)} / ${span(times.p99)}` : "–");

const failedShare = (total) => (total ? percent(total.failed, total.completed + total.failed) : "–");

/** The services as a table; `buttons(service)` gives what can be done with one. */
export function servicesTable(services, since, buttons = null) {
  return html`<div class="card scroll" tabindex="0" role="region" aria-label="Services"><table>
    <thead><tr><th scope="col">Service</th><th scope="col" class="r">Waiting</th><th scope="col" class="r">Oldest</th><th scope="col" class="r">Workers</th>
      <th scope="col" class="r">Completed ${since}</th><th scope="col" class="r">Failed</th><th scope="col" class="r">Wait p50 / p99</th><th scope="col" class="r">Run p50 / p99</th>${buttons ? html`<th scope="col" class="act"><span class="unseen">Actions</span></th>` : nothing}</tr></thead>
    <tbody>${services.map((one) => html`<tr>
      <th scope="row">${jobsWhere({ service: one.service }, one.service)}
        ${one.paused_since ? html`<small class="badge">paused for ${span(now() - one.paused_since)}</small>` : nothing}
        ${one.unserved_since ? html`<small class="badge bad">no worker for ${span(now() - one.unserved_since)}</small>` : nothing}
        ${one.unmet_since ? html`<small class="badge bad">jobs ask for more than its workers have, for ${span(now() - one.unmet_since)}</small>` : nothing}</th>
      <td data-name="Waiting" class="r">${one.waiting ? jobsWhere({ service: one.service, state: "pending" }, count(one.waiting)) : "0"}</td>
      <td data-name="Oldest" class="r">${one.oldest_at ? ago(one.oldest_at, now()) : "–"}</td>
      <td data-name="Workers" class="r">${count(one.workers)}</td>
      <td data-name="Completed" class="r">${count(one.total?.completed ?? 0)}</td>
      <td data-name="Failed" class="r">${one.total?.failed ? jobsWhere({ service: one.service, state: "failed" }, failedShare(one.total)) : failedShare(one.total)}</td>
      <td data-name="Wait p50 / p99" class="r">${halves(one.total?.wait_ms)}</td>
      <td data-name="Run p50 / p99" class="r">${halves(one.total?.run_ms)}</td>
      ${buttons ? html`<td class="r act">${buttons(one)}</td>` : nothing}
    </tr>`)}</tbody></table></div>`;
}

export function servicesView(page) {
  let services = null;

  async function change(name, verb, said) {
    try {
      await post(`/api/services/${encodeURIComponent(name)}/${verb}`);
      page.say(said);
    } catch (error) {
      page.say(error.message);
    }
    page.reload();
  }

  async function pause({ service, waiting }) {
    const body = html`<p>Nobody claims its jobs until it goes on: ${plural(waiting, "job")} wait now. Jobs that run go on, and new ones are taken.</p>`;
    if (await ask({ title: `Pause ${service}?`, body, action: "Pause" })) await change(service, "pause", `${service} is paused.`);
  }

  const buttons = (one) => (one.paused_since
    ? action(page, "Go on", () => change(one.service, "resume", `${one.service} goes on.`), "main")
    : action(page, "Pause…", () => pause(one)));

  return {
    title: "Services",
    every: 3000,
    async load(signal) {
      const [overview, history] = await Promise.all([get("/api/overview", {}, signal), get("/api/history", { range: "1h", by: "service" }, signal)]);
      services = withTotals(overview, history);
    },
    render() {
      if (!services) return html`<p class="empty" role="status">Reading…</p>`;
      return html`${services.length ? servicesTable(services, "in 1 h", buttons) : html`<p class="empty">No service has jobs or workers.</p>`}
        ${limits("Services that have no job, no worker and no pause, and had no job in the last hour. Waiting are those that could run now: jobs in back-off or with a later start are not counted.")}`;
    },
  };
}

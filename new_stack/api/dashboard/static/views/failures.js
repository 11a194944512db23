// Failures: the jobs that failed for good, by service and reason, and what is done with many of them at once.
import { get, now, post } from "../api.js";
import { ask } from "../ask.js";
import { ago, count, moment, plural } from "../format.js";
import { action, jobLink, jobsWhere, limits } from "../marks.js";
import { go, to } from "../router.js";
import { html, nothing } from "../vendor/lit-html/lit-html.js";

const AT_ONCE = 1000;
const NAMED = 5;

export function failuresView(page) {
  let found = null;
  let services = [];
  const service = () => page.route.query.service ?? "";

  /** Say first what would happen, then do it, in portions, so that a large group ends as a small one does. */
  async function inBulk(verb, words, filter) {
    try {
      const trial = await post("/api/jobs/bulk", { action: verb, filter, dry_run: true, limit: 10_000 });
      const agreed = await ask({ title: `${words.name} ${plural(trial.matched, "failed job")}?`, body: trialOf(trial, words, filter), action: words.name, danger: verb === "drop" });
      if (!agreed) return;
      let changed = 0;
      for (let left = trial.matched; left > 0; left -= AT_ONCE) {
        const done = await post("/api/jobs/bulk", { action: verb, filter, dry_run: false, limit: Math.min(left, AT_ONCE) });
        changed += done.changed;
        page.say(`${plural(changed, "job")} of ${count(trial.matched)} ${words.done}.`);
        if (!done.matched) break;
      }
    } catch (error) {
      page.say(error.message);
    }
    page.reload();
  }

  const retry = { name: "Retry", done: "run again", would: "would run again" };
  const drop = { name: "Delete", done: "deleted", would: "would be deleted, with payload and error" };

  const trialOf = (trial, words, filter) => html`
    <p>${plural(trial.matched, "job")}${filter.service ? html` of <b>${filter.service}</b>` : nothing} ${words.would}${filter.reason ? html`: <code>${filter.reason}</code>` : "."}</p>
    <ul class="plain">${trial.job_ids.slice(0, NAMED).map((id) => html`<li><code>${id}</code></li>`)}</ul>
    ${trial.matched > NAMED ? html`<p class="soft">and ${count(trial.matched - NAMED)} more</p>` : nothing}
    ${trial.more ? html`<p class="notice">There are older ones, which this does not reach.</p>` : nothing}
    <p class="soft">Jobs that fail in the same way until you agree are among them.</p>`;

  const group = (one) => {
    const filter = { reason: one.reason, service: one.service };
    return html`<article class="card group">
      <h2><b class="bad">${count(one.count)}</b> ${jobsWhere({ state: "failed", service: one.service }, one.service)}</h2>
      <p class="reason"><code>${one.reason}</code></p>
      <p class="soft"><span title=${moment(one.last_at, now())}>last ${ago(one.last_at, now())}</span>,
        <span title=${moment(one.first_at, now())}>first ${ago(one.first_at, now())}</span></p>
      <p class="examples">for example ${one.examples.map((id) => html`${jobLink(id)} `)}</p>
      <div class="actions">${action(page, "Retry…", () => inBulk("retry", retry, filter))} ${action(page, "Delete…", () => inBulk("drop", drop, filter), "danger")}</div>
    </article>`;
  };

  const bar = () => html`<form class="filters" @submit=${(event) => event.preventDefault()}>
    <label>Service <select @change=${(event) => go(to("failures", { service: event.target.value }))}>
      ${["", ...services].map((name) => html`<option value=${name} ?selected=${name === service()}>${name || "all"}</option>`)}
    </select></label>
    ${action(page, "Retry all of these…", () => inBulk("retry", retry, service() ? { service: service() } : {}))}
  </form>`;

  return {
    title: "Failures",
    every: 4000,
    async load(signal) {
      found = await get("/api/failures", { service: service() }, signal);
      services = [...new Set([...services, ...found.groups.map((one) => one.service), service()])].filter(Boolean).sort();
    },
    routed: () => page.reload(),
    render() {
      if (!found) return html`<p class="empty" role="status">Reading…</p>`;
      const total = found.groups.reduce((sum, one) => sum + one.count, 0);
      return html`
        ${found.groups.length ? html`<p class="soft">${plural(total, "job")} failed for ${plural(found.groups.length, "reason")}. What differs from job to job is left out: N stands for a number, … for an id.</p>${bar()}` : nothing}
        ${found.groups.length ? found.groups.map(group) : html`<p class="empty">No job has failed.</p>`}
        ${limits(found.more ? `Failed jobs older than the newest ${count(found.looked_at)}.` : `All failed jobs that the server keeps are counted (${count(found.looked_at)}).`,
          "Attempts that failed and were followed by one that did not.")}`;
    },
  };
}

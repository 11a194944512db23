// One job: what it is, how it went, what can be done with it.
import { Refused, get, getText, jobPath, now, post } from "../api.js";
import { ask, showText } from "../ask.js";
import { followJob } from "../feed.js";
import { ago, bytes, clock, moment, span } from "../format.js";
import { layOut, members } from "../json.js";
import { action, jobsWhere, limits, pill, progressBar } from "../marks.js";
import { go, to } from "../router.js";
import { attemptsOf, errorsOf, gantt } from "./attempts.js";
import { asCurl, asProgram } from "./copies.js";
import { againForm } from "./again.js";
import { html, nothing } from "../vendor/lit-html/lit-html.js";

const SHOWN = 100_000;
const LINES = 500;
const ENDED = ["completed", "failed", "cancelled"];

export function jobView(page) {
  const id = page.route.parts[1];
  const state = { job: null, parts: {}, why: null, missing: false, events: new Map(), raw: false, whole: false, again: false };
  let unfollow = null;

  function follow() {
    unfollow = followJob(id, {
      event(event) {
        const fresh = !state.events.has(event.id);
        state.events.set(event.id, event);
        if (fresh && event.kind !== "progress" && event.kind !== "log" && event.at > (state.job?.ended_at_ms ?? 0)) page.reload();
        if (event.kind === "progress" && state.job?.status === "claimed") state.job.progress = event.progress;
        page.redraw();
      },
      gone() {
        unfollow = null;
      },
    });
  }

  async function act(verb, said) {
    try {
      await post(jobPath(id, verb));
      page.say(said);
    } catch (error) {
      page.say(error.message);
    }
    page.reload();
  }

  async function cancel() {
    if (await ask({ title: `Cancel ${id}?`, body: html`<p>It ends at once; its worker is told to stop.</p>`, action: "Cancel the job", danger: true })) {
      await act("cancel", "Cancelled.");
    }
  }

  async function copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
      page.say(`Copied as ${what}.`);
    } catch {
      await showText(`The job as ${what}`, text);
    }
  }

  async function exportCassette() {
    try {
      const file = new Blob([await getText(jobPath(id, "cassette"))]);
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: `${id}.jsonl` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    } catch (error) {
      page.say(error.message);
    }
  }

  const events = () => [...state.events.values()].sort((a, b) => order(a.id, b.id));

  const facts = (job) => {
    const rows = [
      ["State", pill(job.status)],
      ["Service", jobsWhere({ service: job.service_required }, job.service_required)],
      ["Submitted", moment(job.created_at_ms, now())],
      ["Ended", job.ended_at_ms && `${moment(job.ended_at_ms, now())}, ${ago(job.ended_at_ms, now())}`],
      ["Attempts", ENDED.includes(job.status) ? job.attempt : `${job.attempt}, fails for good after ${job.max_retries + 1} failures`],
      ["Priority", job.priority],
      ["Worker", job.worker_id && jobsWhere({ worker: job.worker_id }, job.worker_id)],
      ["Client", job.client_id && jobsWhere({ client: job.client_id }, job.client_id)],
      ["Place", job.display_position && `${job.display_position} in the queue of its service`],
      ["Runs no sooner than", job.not_before_ms > now() && moment(job.not_before_ms, now())],
      ["Has to end by", job.deadline_at_ms && moment(job.deadline_at_ms, now())],
      ["Cancelled because", job.cancel_reason],
      ["Progress", job.status === "claimed" && progressBar(job.progress)],
      ["Last word", job.status === "claimed" && job.status_message],
    ];
    return html`<dl class="facts">${rows.filter(([, value]) => value != null && value !== "" && value !== false)
      .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
  };

  const buttons = (job) => html`<div class="actions">
    ${ENDED.includes(job.status) ? nothing : action(page, "Cancel", cancel, "danger")}
    ${["failed", "cancelled"].includes(job.status) ? action(page, "Run again", () => act("retry", "It runs again."), "main") : nothing}
    ${action(page, "Submit again with changes", () => { state.again = !state.again; page.redraw(); })}
    <button type="button" @click=${() => copy(asCurl(state.parts, page.session.token_required), "curl")}>Copy as curl</button>
    <button type="button" @click=${() => copy(asProgram(state.parts, page.session.token_required), "Python")}>Copy as Python</button>
    <button type="button" @click=${exportCassette} title="A recording that hubgate replay plays on a hub or a stack">Export as a cassette</button>
  </div>`;

  const why = () => state.why && html`<section class="card"><h2>Who can take it</h2>
    <p>${localTimes(state.why.sentence)}</p>${state.job.waiting_reason ? html`<p class="bad">For ${span(now() - (state.job.unserved_since_ms ?? state.job.paused_since_ms))}: ${state.job.waiting_reason}.</p>` : nothing}
    ${state.why.unable.length ? html`<details ?open=${!state.why.able.length}><summary>${state.why.unable.length} cannot</summary>
      <ul class="plain">${state.why.unable.slice(0, 50).map((worker) => html`<li><code>${worker.worker_id}</code> ${worker.reason}</li>`)}</ul></details>` : nothing}</section>`;

  const logs = (job) => {
    const told = events().filter(({ kind }) => kind === "log").map(({ at, status, message }) => ({ at, level: status, message }));
    const lines = told.length >= job.logs.length ? told : job.logs;
    if (!lines.length) return nothing;
    return html`<section class="card"><h2>Log</h2><ol class="log" tabindex="0" aria-label="Log lines">
      ${lines.slice(-LINES).map((line) => html`<li><time>${clock(line.at)}</time><b class=${line.level}>${line.level}</b><span>${line.message}</span></li>`)}</ol></section>`;
  };

  const body = (name, title) => {
    const text = state.parts[name];
    if (text == null || text === "null") return nothing;
    const shown = state.raw ? text : layOut(text);
    const cut = shown.length > SHOWN && !state.whole;
    return html`<section class="card"><h2>${title} <small>${bytes(new Blob([text]).size)}</small></h2>
      <pre tabindex="0" aria-label=${title}>${cut ? shown.slice(0, SHOWN) : shown}</pre>
      ${cut ? html`<button type="button" @click=${() => { state.whole = true; page.redraw(); }}>Show all of it</button>` : nothing}</section>`;
  };

  const bodies = () => {
    const beside = [body("result", "Result"), body("extra", "Fields of its submitter")].filter((one) => one !== nothing);
    return html`
    <div class="chips" role="group" aria-label="How payload and result are shown">
      ${[["laid out", false], ["as they came", true]].map(([name, raw]) => html`<button type="button" class="chip" aria-pressed=${state.raw === raw ? "true" : "false"}
        @click=${() => { state.raw = raw; page.redraw(); }}>${name}</button>`)}
    </div>
    <div class="pair bodies">${body("payload", "Payload")} ${beside.length ? html`<div class="stack">${beside}</div>` : nothing}</div>`;
  };

  const life = (job) => {
    const all = events();
    const attempts = attemptsOf(all);
    const errors = errorsOf(attempts, job);
    const whole = all[0]?.kind === "submitted";
    return html`
      <section class="card"><h2>Attempts</h2>
        ${gantt(job, attempts, now())}
        ${whole ? nothing : html`<p class="soft">${all.length ? "Its first events" : "Its events"} are no longer kept: earlier attempts are not shown.</p>`}
      </section>
      ${errors.length ? html`<section class="card"><h2>Errors</h2>${errors}</section>` : nothing}`;
  };

  return {
    title: `Job ${id}`,
    every: 3000,
    async load(signal) {
      try {
        const text = await getText(jobPath(id), signal);
        state.job = JSON.parse(text);
        state.parts = members(text);
        state.parts.extraMembers = state.job.extra ? members(state.parts.extra) : {};
        state.missing = false;
      } catch (error) {
        if (!(error instanceof Refused) || error.status !== 404) throw error;
        state.missing = true;
        return;
      }
      this.every = ENDED.includes(state.job.status) ? 15_000 : 3000;
      if (!unfollow && (!ENDED.includes(state.job.status) || !state.events.size)) follow();
      state.why = state.job.status === "pending" ? await get(jobPath(id, "explain"), {}, signal).catch(() => null) : null;
    },
    render() {
      const { job } = state;
      if (state.missing && !job) return html`<p class="empty">There is no job ${id}: it never was, or it ended longer ago than the server keeps jobs. <a href=${to("jobs", { q: id })}>Search all jobs for it.</a></p>`;
      if (!job) return html`<p class="empty" role="status">Reading…</p>`;
      return html`
        ${state.missing ? html`<p class="notice">The server no longer keeps this job; this is what it was.</p>` : nothing}
        <section class="card">${facts(job)} ${buttons(job)}</section>
        ${state.again ? againForm(state.parts, { page, close: () => { state.again = false; page.redraw(); }, done: (newId) => go(to("jobs", newId)) }) : nothing}
        ${why() ?? nothing} ${life(job)} ${logs(job)} ${bodies()}
        ${limits("Events of an ended job are kept for ten minutes (HUBGATE_EVENTS_TTL_MS); after that, only its last attempt, its last error and the last 20 lines of its log are known.")}`;
    },
    close: () => unfollow?.(),
  };
}

/** A sentence of the server's, its moments as the rest of the page has them. */
const localTimes = (text) => text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (found) => moment(Date.parse(found), now()));

function order(one, other) {
  const [a, b] = [one.split("-").map(Number), other.split("-").map(Number)];
  return a[0] - b[0] || a[1] - b[1];
}

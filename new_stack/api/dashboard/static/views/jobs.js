// Jobs: all of them, by search and filters that the server applies, with their states live.
import { get, now } from "../api.js";
import { STATE_AFTER, followAll } from "../feed.js";
import { ago, count, moment, plural, stateWord } from "../format.js";
import { choices, jobLink, limits, pill, progressBar } from "../marks.js";
import { go, to } from "../router.js";
import "../rows.js";
import { JobList } from "./job_list.js";
import { html, nothing } from "../vendor/lit-html/lit-html.js";

const FILTERS = ["q", "state", "service", "worker", "client"];
const STATES = ["pending", "claimed", "completed", "failed", "cancelled"];
const TYPING_MS = 300;
const NARROW = matchMedia("(max-width: 700px)");

export function jobsView(page) {
  const filters = () => Object.fromEntries(FILTERS.map((name) => [name, page.route.query[name] ?? ""]));
  let list = new JobList(filters(), page.redraw);
  let queue = null;
  let services = [];
  let unfollow = null;
  let typing = 0;
  let soon = 0;

  function reloadSoon() {
    soon ||= setTimeout(() => {
      soon = 0;
      page.reload();
    }, 1000);
  }

  function follow() {
    unfollow ??= followAll({
      event: (event) => {
        if (list.take({ ...event, state: STATE_AFTER[event.kind] }, scrollY < 200)) reloadSoon();
        page.redraw();
      },
      gap: () => {
        list.reset();
        reloadSoon();
      },
    });
  }

  function filter(changes, options) {
    go(to("jobs", { ...filters(), ...changes }), options);
  }

  function onType(event) {
    clearTimeout(typing);
    const text = event.target.value.trim();
    typing = setTimeout(() => filter({ q: text }, { replace: true }), TYPING_MS);
  }

  const noteOf = (job) => {
    if (job.note || job.status !== "pending") return job.note ?? "";
    if (queue?.paused?.[job.service_required]) return `the service '${job.service_required}' is paused`;
    return queue?.unserved[job.service_required] ? `no worker serves '${job.service_required}'` : "";
  };

  const row = (job) => html`
    <span role="cell" class="c-id">${jobLink(job.job_id)}</span>
    <span role="cell" class="c-service">${job.service_required}</span>
    <span role="cell" class="c-state">${pill(job.status)}</span>
    <span role="cell" class="c-note" title=${noteOf(job)}>${job.status === "claimed" ? progressBar(job.progress) : html`<span class="soft">${noteOf(job)}</span>`}</span>
    <span role="cell" class="c-worker soft">${job.worker_id ?? ""}</span>
    <span role="cell" class="c-age soft" title=${moment(job.created_at_ms, now())}>${ago(job.created_at_ms, now())}</span>`;

  const chips = () => {
    const all = Object.values(filters()).every((value) => !value);
    const figure = (state) => (queue ? count(queue[state]) : null);
    return choices("State", [
      { name: "all", value: "", address: to("jobs", { ...filters(), state: "" }) },
      ...STATES.map((state) => ({
        name: stateWord(state), value: state, note: all || !list.narrowed ? figure(state) : null, address: to("jobs", { ...filters(), state }),
      })),
    ], filters().state);
  };

  const bar = () => html`
    <form class="filters" role="search" @submit=${(event) => event.preventDefault()}>
      <label class="grow"><span class="unseen">Search</span>
        <input id="job-search" type="search" placeholder="Search all jobs: id, client or error" autocomplete="off" .value=${filters().q} @input=${onType}></label>
      <label>Service <select @change=${(event) => filter({ service: event.target.value })}>
        ${["", ...services].map((name) => html`<option value=${name} ?selected=${name === filters().service}>${name || "all"}</option>`)}
      </select></label>
      <label>Worker <input .value=${filters().worker} autocomplete="off" @change=${(event) => filter({ worker: event.target.value.trim() })}></label>
      <label>Client <input .value=${filters().client} autocomplete="off" @change=${(event) => filter({ client: event.target.value.trim() })}></label>
    </form>
    ${chips()}
    ${list.narrowed ? html`<p class="chips" aria-label="Filters that hold">${["q", "service", "worker", "client"].filter((name) => filters()[name]).map((name) => html`
      <button type="button" class="chip on" @click=${() => filter({ [name]: "" })} aria-label=${`Remove the filter ${name}`}>${name === "q" ? "text" : name}: ${filters()[name]} ✕</button>`)}</p>` : nothing}`;

  const table = () => html`
    <div class="card table" role="table" aria-label="Jobs" aria-rowcount=${list.complete ? list.items.length + 1 : -1}>
      <div role="rowgroup"><div class="row head" role="row" aria-rowindex="1">
        ${[["c-id", "Job"], ["c-service", "Service"], ["c-state", "State"], ["c-note", "Progress, or why"], ["c-worker", "Worker"], ["c-age", "Submitted"]]
          .map(([kind, name]) => html`<span class=${kind} role="columnheader">${name}</span>`)}
      </div></div>
      <long-list role="rowgroup" .content=${{ items: list.items, key: (job) => job.job_id, row, rowHeight: NARROW.matches ? 78 : 40, more: () => list.more() }}></long-list>
    </div>`;

  const foot = () => {
    if (!list.loaded) return html`<p class="empty" role="status">Reading…</p>`;
    if (!list.items.length && list.complete) return empty();
    const far = list.lookedAt > list.items.length ? ` Looked at ${plural(list.lookedAt, "job")}.` : "";
    const end = list.complete ? "That is all." : list.busy ? "Reading on…" : "Scroll on for more.";
    return html`<p class="soft" role="status">${plural(list.items.length, "job")} shown.${far} ${end}</p>
      ${list.complete || list.busy ? nothing : html`<button type="button" @click=${() => list.more()}>Read on</button>`}`;
  };

  const empty = () => (list.narrowed || filters().state
    ? html`<p class="empty">No job is like that${list.lookedAt ? ` among ${count(list.lookedAt)}` : ""}. <a href=${to("jobs")}>Show all jobs.</a></p>`
    : html`<div class="empty"><p>There are no jobs yet. Submit one:</p>
        <pre>curl -s ${location.origin}/api/jobs -H 'Content-Type: application/json' -d '{"service_required": "simulation"}'</pre></div>`);

  return {
    title: "Jobs",
    every: 3000,
    async load(signal) {
      const [, overview] = await Promise.all([list.refresh(signal, scrollY < 200), get("/api/overview", {}, signal)]);
      queue = overview.queue;
      services = [...new Set([...overview.services.map(({ service }) => service), filters().service])].filter(Boolean).sort();
      follow();
    },
    routed() {
      list = new JobList(filters(), page.redraw);
      page.redraw();
    },
    render: () => html`
      ${bar()}
      ${list.newer ? html`<button type="button" class="newer" @click=${() => { scrollTo(0, 0); list.reset(); page.reload(); }}>
        ${plural(list.newer, "newer job")}: show them</button>` : nothing}
      ${table()} ${foot()}
      ${limits("Ended jobs that the server no longer keeps (HUBGATE_FINISHED_TTL_MS, an hour unless set).",
        "A job whose state changes while a filter holds goes or comes within a few seconds.")}`,
    close() {
      unfollow?.();
      clearTimeout(typing);
      clearTimeout(soon);
    },
  };
}

// The jobs that a search has found so far: pages of the server, kept true by events.
import { get } from "../api.js";

const PAGE = 100;
/** Who reads on shall not wait often. */
const NEXT_PAGE = 400;
const FILL = 40;
const RESET_AT = 5000;

const noteOf = (job) => job.error || job.cancel_reason || job.waiting_reason || (job.status === "completed" ? null : job.status_message);

export class JobList {
  /** `filters` as the server takes them; `changed` is called when more has been read. */
  constructor(filters, changed) {
    this.filters = filters;
    this.narrowed = Boolean(filters.q || filters.service || filters.worker || filters.client);
    this.changed = changed;
    this.reset();
  }

  reset() {
    this.items = [];
    this.byId = new Map();
    this.cursor = null;
    this.loaded = false;
    this.complete = false;
    this.busy = false;
    this.lookedAt = 0;
    this.newer = 0;
  }

  /** Read the newest again; `top`: the reader sees the beginning, and newer ones may come in above. */
  async refresh(signal, top) {
    if (this.loaded && this.filters.q) {
      // A search looks at many jobs: what it has found is kept true by events, and not asked for again.
      return;
    }
    const page = await get("/api/jobs", { ...this.filters, limit: PAGE }, signal);
    if (this.loaded && !top) this.#update(page.jobs);
    else this.#begin(page);
    if (this.items.length < FILL) await this.more(signal);
  }

  /** Read on, until there is something to show or nothing is left. */
  async more(signal) {
    if (this.busy || this.complete || !this.loaded) return;
    this.busy = true;
    try {
      const least = this.items.length + FILL;
      while (!this.complete && this.items.length < least) {
        const page = await get("/api/jobs", { ...this.filters, after: this.cursor, limit: NEXT_PAGE }, signal);
        this.#append(page);
        this.changed();
      }
    } finally {
      this.busy = false;
      this.changed();
    }
  }

  /** Something happened to a job. Answers whether the server has to be asked what that means for the list. */
  take(event, top) {
    const job = this.byId.get(event.job_id);
    if (job) {
      if (event.at >= job.touched) apply(job, event);
      return Boolean(this.filters.state) && job.status !== this.filters.state;
    }
    const { q, state, service, worker, client } = this.filters;
    if (!this.loaded || q || worker || (service && service !== event.service_required) || (client && client !== event.client_id)) return false;
    if (event.kind === "submitted" && (!state || state === "pending")) {
      if (top && this.items.length < RESET_AT) this.#insert(event);
      else this.newer += 1;
      return top && this.items.length >= RESET_AT;
    }
    return Boolean(state) && event.state === state && event.kind !== "progress";
  }

  #insert(event) {
    const job = { job_id: event.job_id, service_required: event.service_required, status: "pending", client_id: event.client_id,
      created_at_ms: event.at, touched: event.at };
    this.byId.set(job.job_id, job);
    this.items.unshift(job);
  }

  #row(job) {
    const touched = Math.max(job.created_at_ms, job.claimed_at_ms ?? 0, job.ended_at_ms ?? 0);
    const known = this.byId.get(job.job_id);
    const { job_id, service_required, status, client_id, worker_id, progress, created_at_ms } = job;
    const fresh = { job_id, service_required, status, client_id, worker_id, progress, created_at_ms, note: noteOf(job), touched };
    // What an event has said meanwhile is newer than this answer.
    return known ? Object.assign(known, known.touched > touched ? { note: known.note ?? fresh.note } : fresh) : fresh;
  }

  #begin(page) {
    const rows = page.jobs.map((job) => this.#row(job));
    const seen = new Set(rows.map((job) => job.job_id));
    const last = page.jobs.at(-1);
    const older = page.cursor && last ? this.items.filter((job) => job.created_at_ms < last.created_at_ms && !seen.has(job.job_id)) : [];
    const joins = this.items.some((job) => seen.has(job.job_id));
    this.items = joins ? [...rows, ...older] : rows;
    this.byId = new Map(this.items.map((job) => [job.job_id, job]));
    if (!joins || !older.length) [this.cursor, this.complete, this.lookedAt] = [page.cursor, !page.cursor, page.looked_at ?? 0];
    [this.loaded, this.newer] = [true, 0];
  }

  #update(jobs) {
    const newest = this.items[0]?.created_at_ms ?? 0;
    for (const job of jobs) if (this.byId.has(job.job_id)) this.#row(job);
    this.newer = Math.max(this.newer, jobs.filter((job) => !this.byId.has(job.job_id) && job.created_at_ms > newest).length);
  }

  #append(page) {
    for (const job of page.jobs) {
      if (this.byId.has(job.job_id)) continue;
      const row = this.#row(job);
      this.byId.set(row.job_id, row);
      this.items.push(row);
    }
    [this.cursor, this.complete] = [page.cursor, !page.cursor];
    this.lookedAt += page.looked_at ?? 0;
  }
}

function apply(job, event) {
  job.touched = event.at;
  job.status = event.state;
  job.worker_id = event.worker_id ?? job.worker_id;
  if (event.kind === "progress") job.progress = event.progress;
  else if (event.kind === "claimed") job.progress = null;
  job.note = event.error ?? event.message ?? (event.kind === "progress" ? job.note : undefined);
}

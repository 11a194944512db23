// The attempts of a job, read off its events, and drawn against time.
import { clock, span } from "../format.js";
import { html, nothing } from "../vendor/lit-html/lit-html.js";

const ENDS = {
  completed: "completed",
  failed: "failed",
  attempt_failed: "failed",
  cancelled: "cancelled",
  released: "released",
  lease_expired: "lost",
};
/** Percent of the track: what was shorter is seen all the same. */
const LEAST = 0.5;
const WORDS = { released: "handed back by its worker", lost: "its worker was lost" };

/**
 * Each attempt with the wait before it: `{ attempt, worker, waitedFrom, from, to, end, error, errorType, traceback }`.
 * What is not known (its events are no longer kept, or it has not happened) is null.
 */
export function attemptsOf(events) {
  const found = [];
  let open = null;
  let waiting = null;
  for (const event of events) {
    if (event.kind === "submitted" || event.kind === "retried") {
      waiting = event.at;
    } else if (event.kind === "claimed") {
      open = { attempt: event.attempt, worker: event.worker_id, waitedFrom: waiting, from: event.at, to: null, end: null };
      found.push(open);
    } else if (ENDS[event.kind] && open) {
      const { at, error, error_type: errorType, traceback } = event;
      Object.assign(open, { to: at, end: ENDS[event.kind], error, errorType, traceback });
      [open, waiting] = [null, at];
    }
  }
  return found;
}

/** The same as a Gantt chart; `job` tells what its events no longer do, and `now` is the server's time. */
export function gantt(job, attempts, now) {
  const ended = job.ended_at_ms;
  const begin = job.created_at_ms;
  const finish = Math.max(ended ?? now, begin + 1);
  const place = (from, to) => {
    const width = Math.max(LEAST, (100 * (to - from)) / (finish - begin));
    return `left: ${Math.min(100 - width, (100 * (from - begin)) / (finish - begin))}%; width: ${width}%`;
  };
  const last = attempts.at(-1);
  const waitsOn = job.status === "pending" ? (last?.to ?? begin) : null;
  return html`
    <ol class="gantt">
      ${attempts.map((one) => html`<li>
        <span class="who"><b>Attempt ${one.attempt}</b> <small>${one.worker ?? ""}</small></span>
        <span class="track" aria-hidden="true">
          ${one.waitedFrom == null ? nothing : html`<i class="wait" .style=${place(one.waitedFrom, one.from)}></i>`}
          <i class="run ${one.end ?? "claimed"}" .style=${place(one.from, one.to ?? finish)}></i>
        </span>
        <span class="times">${one.end ? html`<span class="word ${one.end}">${WORDS[one.end] ?? one.end}</span> · ` : nothing}
          ${one.waitedFrom == null ? nothing : `waited ${span(one.from - one.waitedFrom)}, `}${one.to == null ? "runs for" : "ran"} ${span((one.to ?? now) - one.from)}</span>
      </li>`)}
      ${waitsOn == null ? nothing : html`<li>
        <span class="who"><b>Waiting</b></span>
        <span class="track" aria-hidden="true"><i class="wait" .style=${place(waitsOn, finish)}></i></span>
        <span class="times">for ${span(now - waitsOn)}${job.not_before_ms > now ? `, may run in ${span(job.not_before_ms - now)}` : ""}</span></li>`}
    </ol>
    <p class="axis" aria-hidden="true"><span>${clock(begin)}</span><span>${span(finish - begin)}</span><span>${clock(finish)}</span></p>`;
}

/** What went wrong in each attempt, the last one first. */
export function errorsOf(attempts, job) {
  const failed = attempts.filter(({ error }) => error).reverse();
  const shown = failed.length || !job.error ? failed : [{ attempt: job.attempt, error: job.error, errorType: job.error_type, traceback: job.traceback }];
  return shown.map((one, index) => html`<article class="error">
    <h3>Attempt ${one.attempt}${one.errorType ? html` · <code>${one.errorType}</code>` : nothing}</h3>
    <p>${one.error}</p>
    ${one.traceback ? html`<details ?open=${index === 0}><summary>Traceback</summary><pre tabindex="0" aria-label="Traceback">${one.traceback}</pre></details>` : nothing}
  </article>`);
}

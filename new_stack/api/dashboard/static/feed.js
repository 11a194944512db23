// The events of all jobs, live. What a break of the connection made us miss comes with the next one.
import { withQuery } from "./api.js";

const KINDS = [
  ...["submitted", "claimed", "progress", "completed", "attempt_failed", "failed", "cancelled", "released"],
  ...["lease_expired", "retried"],
];
const AGAIN_MS = 2000;

/** The state that a job has after an event of this kind. */
export const STATE_AFTER = {
  ...{ submitted: "pending", claimed: "claimed", progress: "claimed", completed: "completed", failed: "failed" },
  ...{ cancelled: "cancelled", attempt_failed: "pending", released: "pending", lease_expired: "pending", retried: "pending" },
};

/** Follow all jobs from `since` (ms) on; `gap` is called where events were missed for good. Answers what ends it. */
export function followAll({ since, event, gap }) {
  let source = null;
  let last = null;
  let again = 0;
  const open = () => {
    source = new EventSource(withQuery("/api/events", last ? { last_event_id: last } : { since: Math.round(since) }));
    for (const kind of KINDS) {
      source.addEventListener(kind, (message) => {
        last = message.lastEventId;
        event(JSON.parse(message.data));
      });
    }
    source.addEventListener("gap", gap);
    source.onerror = () => {
      // What was refused (Redis is away, the cookie has run out) is over for a browser, but not for us.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS);
    };
  };
  open();
  return () => {
    clearTimeout(again);
    source.close();
  };
}

/** Follow one job: its history, then what happens until it ends. Answers what ends it. */
export function followJob(id, { event, gone }) {
  const source = new EventSource(`/api/jobs/${encodeURIComponent(id)}/progress`);
  const take = (message) => event({ ...JSON.parse(message.data), id: message.lastEventId });
  source.onmessage = take;
  for (const kind of [...KINDS, "log"]) source.addEventListener(kind, take);
  source.onerror = () => source.readyState === EventSource.CLOSED && gone();
  return () => source.close();
}

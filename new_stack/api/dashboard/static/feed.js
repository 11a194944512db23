// The events of all jobs, live. What a break of the connection made us miss comes with the next one.
import { now, withQuery } from "./api.js";

const KINDS = [
  ...["submitted", "claimed", "progress", "completed", "attempt_failed", "failed", "cancelled", "released"],
  ...["lease_expired", "retried"],
];
const AGAIN_MS = 2000;
/** Who was away for longer begins anew: thousands of events would have to be read for what one page of a list says. */
const AWAY_MS = 60_000;
/** The events of this time before a beginning are read, too: what was read meanwhile may be older than they are. */
const LAG_MS = 1000;

/** The state that a job has after an event of this kind. */
export const STATE_AFTER = {
  ...{ submitted: "pending", claimed: "claimed", progress: "claimed", completed: "completed", failed: "failed" },
  ...{ cancelled: "cancelled", attempt_failed: "pending", released: "pending", lease_expired: "pending", retried: "pending" },
};

/**
 * Keep a stream open while the page is seen: a browser has six connections for one server, and with a stream in each of
 * six tabs no other page of it would load. `open` answers what closes the stream. Answers what ends it all.
 */
function whileSeen(open) {
  let close = null;
  const changed = () => {
    if (document.hidden) close?.();
    close = document.hidden ? null : (close ?? open());
  };
  document.addEventListener("visibilitychange", changed);
  changed();
  return () => {
    document.removeEventListener("visibilitychange", changed);
    close?.();
  };
}

/** Follow all jobs from now on; `gap` is called where events were missed for good. Answers what ends it. */
export function followAll({ event, gap }) {
  let last = null;
  let since = now() - LAG_MS;
  let leftAt = Infinity;
  return whileSeen(() => {
    let source = null;
    let again = 0;
    if (now() - leftAt > AWAY_MS) {
      [last, since] = [null, now() - LAG_MS];
      gap();
    }
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
      leftAt = now();
      clearTimeout(again);
      source.close();
    };
  });
}

/** Follow one job: its history, then what happens until it ends. Answers what ends it. */
export function followJob(id, { event, gone }) {
  const end = whileSeen(() => {
    const source = new EventSource(`/api/jobs/${encodeURIComponent(id)}/progress`);
    const take = (message) => event({ ...JSON.parse(message.data), id: message.lastEventId });
    source.onmessage = take;
    for (const kind of [...KINDS, "log"]) source.addEventListener(kind, take);
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      end();
      gone();
    };
    return () => source.close();
  });
  return end;
}

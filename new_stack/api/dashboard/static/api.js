// Talks to the API that serves this page: requests, and the server's clock.
const CLOCK_HEADER = "Hubgate-Time";
const TRUST_MS = 60_000;

/** The server refused: `status`, and a sentence for a person. `fields` says what is wrong with which input. */
export class Refused extends Error {
  constructor(status, problem) {
    super(typeof problem?.detail === "string" ? problem.detail : problem?.title || `The server answered ${status}.`);
    this.status = status;
    this.fields = problem?.errors ?? [];
  }
}

/** Nothing answered at all. */
export class Unreachable extends Error {}

let offset = 0;
let shortest = Infinity;
let readAt = 0;

/** The server's time, so that ages are right whatever this machine's clock says. */
export const now = () => Date.now() + offset;

function readClock(response, began, ended) {
  const at = Number(response.headers.get(CLOCK_HEADER));
  const trip = ended - began;
  if (!at || (trip > 2 * shortest && ended - readAt < TRUST_MS)) return;
  offset = at - (began + ended) / 2;
  [shortest, readAt] = [trip, ended];
}

/** A path with a query; what is null or empty is left out. */
export function withQuery(path, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value != null && value !== "");
  return kept.length ? `${path}?${new URLSearchParams(kept)}` : path;
}

async function answer(path, options = {}) {
  const began = Date.now();
  let response;
  try {
    response = await fetch(path, { ...options, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("The API does not answer.");
  }
  readClock(response, began, Date.now());
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => null));
  return response;
}

async function request(path, options) {
  const response = await answer(path, options);
  return response.status === 204 ? null : response.json();
}

/** The answer as text, where its numbers shall stay as they came. */
export const getText = async (path, signal) => (await answer(path, { signal })).text();

export const get = (path, query, signal) => request(withQuery(path, query), { signal });

/** Send a change; `body` is a value, or JSON as text. */
export const post = (path, body = {}, method = "POST") =>
  request(path, {
    method,
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "Content-Type": "application/json", "Hubgate-Client": "dashboard" },
  });

export const jobPath = (id, verb = "") => `/api/jobs/${encodeURIComponent(id)}${verb && `/${verb}`}`;

// Puts the page together: the view that the path means, its polling, and the frame around it.
import { Refused, Unreachable, get, now } from "./api.js";
import { frame } from "./frame.js";
import { openPalette } from "./palette.js";
import { here, watch } from "./router.js";
import { html, render } from "./vendor/lit-html/lit-html.js";
import { failuresView } from "./views/failures.js";
import { jobView } from "./views/job.js";
import { jobsView } from "./views/jobs.js";
import { migrationView } from "./views/migration.js";
import { overviewView } from "./views/overview.js";
import { servicesView } from "./views/services.js";
import { workersView } from "./views/workers.js";

const FRAME_MS = 80;
const AGAIN_MS = 1500;
const IDLE_MS = 10_000;

const VIEWS = {
  "": overviewView,
  jobs: (page) => (page.route.parts[1] ? jobView(page) : jobsView(page)),
  failures: failuresView,
  workers: workersView,
  services: servicesView,
  migration: migrationView,
};

/**
 * What a view is given. A view is an object with `title`, `every` (ms between two loads), `load(signal)`, `render()`,
 * and where it needs them `routed()` (only the query has changed) and `close()`.
 */
export const page = {
  route: here(),
  session: { token_required: false, signed_in: true, may_write: true },
  link: { lost: null, heardAt: now() },
  refused: null,
  said: "",
  redraw,
  reload: () => wake(),
  signedIn,
  say(text) {
    page.said = text;
    redraw();
  },
};

let view = null;
let shown = null;
let leaving = new AbortController();
let wake = () => {};
let due = 0;
let drawnAt = 0;

/** Draw soon; many calls make one drawing, so that a flood of events costs few frames. */
function redraw() {
  due ||= setTimeout(() => requestAnimationFrame(draw), Math.max(0, drawnAt + FRAME_MS - performance.now()));
}

function draw() {
  [due, drawnAt] = [0, performance.now()];
  document.title = `${view.title} · hubgate`;
  render(frame(page, view), document.getElementById("app"));
}

function show() {
  page.route = here();
  const key = page.route.parts.join("/");
  if (key === shown) {
    view.routed?.();
  } else {
    const moved = shown !== null;
    view?.close?.();
    view = (VIEWS[page.route.parts[0] ?? ""] ?? unknownView)(page);
    [shown, page.said, page.refused] = [key, "", null];
    draw();
    if (moved) {
      scrollTo(0, 0);
      document.querySelector("main h1")?.focus();
    }
  }
  poll();
}

const unknownView = () => ({
  title: "No such page",
  every: 60_000,
  load: async () => {},
  render: () => html`<p class="empty">There is no such page. <a href="/dashboard">Go to the overview.</a></p>`,
});

/** Load the view's figures again and again, until another view is shown or its query changes. */
async function poll() {
  leaving.abort();
  const { signal } = (leaving = new AbortController());
  wake();
  while (!signal.aborted) {
    const woken = new Promise((resolve) => (wake = resolve));
    const pause = await view.load(signal).then(heard, (error) => signal.aborted || failed(error));
    redraw();
    await Promise.race([woken, new Promise((resolve) => setTimeout(resolve, pause))]);
  }
}

/** All went well. Answers how long to wait before the next time, as `failed` does. */
function heard() {
  page.link = { lost: null, heardAt: now() };
  page.refused = null;
  return document.hidden ? IDLE_MS : view.every;
}

function failed(error) {
  if (error instanceof Refused && error.status === 401) {
    page.session = { token_required: true, signed_in: false, may_write: false };
    return IDLE_MS;
  }
  if (error instanceof Refused && error.status < 500) page.refused = error.message;
  else page.link.lost = error.message;
  if (!(error instanceof Refused || error instanceof Unreachable)) console.error(error);
  return document.hidden ? IDLE_MS : AGAIN_MS;
}

async function signedIn() {
  page.session = await get("/api/session").catch(() => page.session);
  page.reload();
  redraw();
}

addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette(page);
  }
});
document.addEventListener("visibilitychange", () => document.hidden || wake());
setInterval(() => document.hidden || redraw(), 1000);
watch(show);
show();
signedIn();

"use strict";
// The live page: /api/jobs, /api/stats and /api/workers to begin with, /api/events for all that happens from then on.
const ROWS = 60, KEPT = 600, FEED = 60, SECONDS = 120;
const STATE_AFTER = { submitted: "pending", claimed: "claimed", progress: "claimed", completed: "completed", failed: "failed",
  cancelled: "cancelled", attempt_failed: "pending", released: "pending", lease_expired: "pending", retried: "pending" };
const query = new URLSearchParams(location.search);
const token = query.get("token");
const $ = (id) => document.getElementById(id);
const el = (tag, props = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
};
const url = (path, more = {}) => {
  const search = new URLSearchParams(more);
  if (token) search.set("token", token);
  return path + (search.size ? `?${search}` : "");
};
const jobs = new Map();
const feed = [];
const ended = new Map();            // second -> {completed, failed, cancelled}
const waits = [];                   // [second, ms from submission to claim]
const trail = { pending: [], claimed: [], rate: [], wait: [] };
let newest = 0, skew = 0, dirty = true, stats = null, open = null;

async function call(path, options) {
  const response = await fetch(url(path), options);
  $("door").hidden = response.status !== 401;
  if (response.status === 401) throw new Error("This server wants a token.");
  const body = await response.json();
  if (!response.ok) throw new Error(typeof body.detail === "string" ? body.detail : response.statusText);
  return body;
}

// what happens
function keep(id, facts) {
  const known = jobs.get(id);
  const job = { ...known, ...facts };
  jobs.delete(id);
  jobs.set(id, job);
  if (jobs.size > KEPT) jobs.delete(jobs.keys().next().value);
}

function fromStatus(job) {
  keep(job.job_id, { id: job.job_id, service: job.service_required, state: job.status, progress: job.status === "pending" ? null : job.progress,
    worker: job.worker_id, client: job.client_id, since: job.created_at_ms, note: job.error || job.cancel_reason || job.status_message });
}

function onEvent(event) {
  const known = jobs.get(event.job_id);
  const state = STATE_AFTER[event.kind];
  const facts = { id: event.job_id, service: event.service_required, state, client: event.client_id ?? known?.client,
    since: known?.since ?? event.at, worker: event.worker_id ?? known?.worker };
  if (event.kind === "progress") facts.progress = event.progress;
  else if (state !== "completed") facts.progress = null;
  if (event.kind === "claimed" && known?.state === "pending" && event.attempt === 1) waits.push([second(event.at), event.at - known.since]);
  facts.note = event.error ?? event.message ?? known?.note;
  newest = Math.max(newest, event.at);
  skew = Math.min(Date.now() - event.at, skew || Infinity);
  keep(event.job_id, facts);
  if (state in { completed: 1, failed: 1, cancelled: 1 }) {
    const at = second(event.at);
    const bin = ended.get(at) ?? { completed: 0, failed: 0, cancelled: 0 };
    bin[state] += 1;
    ended.set(at, bin);
  }
  if (!$("hold").checked) {
    feed.unshift(event);
    feed.length = Math.min(feed.length, FEED);
  }
  if (open === event.job_id) addLife(event);
  dirty = true;
}

const second = (ms) => Math.floor(ms / 1000);
const now = () => Date.now() - (Number.isFinite(skew) ? skew : 0);

function link(state, text) {
  $("link").dataset.state = state;
  $("link").lastElementChild.textContent = text;
}

function follow(since) {
  const source = new EventSource(url("/api/events", { since }));
  source.onopen = () => link("live", "live");
  source.onerror = () => {
    link("lost", "connection lost, trying again");
    // Refused (no token, Redis away) is for ever in a browser's eyes, but not in ours.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(Math.max(newest + 1, Date.now() - SECONDS * 1000)), 3000);
  };
  for (const kind of Object.keys(STATE_AFTER)) source.addEventListener(kind, (message) => onEvent(JSON.parse(message.data)));
  source.addEventListener("gap", () => { notice("Some events were missed; the list was read again."); refill(); });
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

async function refill() {
  const page = await call("/api/jobs").catch(() => null);
  if (page) for (const job of page.jobs.reverse()) fromStatus(job);
  dirty = true;
}

async function poll() {
  try {
    const [figures, found] = await Promise.all([call("/api/stats"), call("/api/workers")]);
    stats = figures;
    drawWorkers(found.workers);
    if ($("notice").dataset.from === "poll") notice("");
  } catch (error) {
    $("notice").dataset.from = "poll";
    notice(error.message);
  }
  sample();
  dirty = true;
  setTimeout(poll, document.hidden ? 5000 : 1000);
}

// drawing
const count = (n) => n == null ? "–" : n < 10_000 ? n.toLocaleString("en") : n < 1e6 ? `${(n / 1e3).toFixed(n < 1e5 ? 1 : 0)}k` : `${(n / 1e6).toFixed(1)}M`;
const span = (ms) => ms < 1000 ? `${Math.max(0, Math.round(ms))} ms` : ms < 60_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s` : ms < 3.6e6 ? `${Math.floor(ms / 6e4)} min` : ms < 8.64e7 ? `${Math.floor(ms / 3.6e6)} h` : `${Math.floor(ms / 8.64e7)} d`;
const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

function sample() {
  const at = second(now());
  for (const old of ended.keys()) if (old < at - SECONDS) ended.delete(old);
  while (waits.length && waits[0][0] < at - 60) waits.shift();
  let done = 0;
  for (const [when, bin] of ended) if (when >= at - 60) done += bin.completed;
  const sorted = waits.map(([, ms]) => ms).sort((a, b) => a - b);
  const median = sorted.length ? sorted[sorted.length >> 1] : null;
  const values = { pending: stats?.queue.pending ?? 0, claimed: stats?.queue.claimed ?? 0, rate: done, wait: median ?? 0 };
  for (const [name, value] of Object.entries(values)) {
    trail[name].push(value);
    if (trail[name].length > 60) trail[name].shift();
    spark($(`s-${name}`), trail[name]);
  }
  $("n-rate").textContent = count(done);
  $("n-wait").textContent = median == null ? "–" : span(median);
  $("d-wait").textContent = sorted.length ? `${count(sorted.length)} starts in the last minute` : "no starts in the last minute";
}

function spark(svg, values) {
  const top = Math.max(1, ...values), step = 100 / 59, from = 60 - values.length;
  const points = values.map((value, index) => `${((from + index) * step).toFixed(2)},${(24 - 22 * value / top).toFixed(2)}`);
  svg.setAttribute("viewBox", "0 0 100 25");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.innerHTML = values.length < 2 ? "" :
    `<path class="area" d="M${(from * step).toFixed(2)},25L${points.join("L")}L100,25Z"/><path d="M${points.join("L")}"/>`;
}

function drawFigures() {
  if (!stats) return;
  const { queue, workers, connections } = stats;
  $("n-pending").textContent = count(queue.pending);
  $("d-pending").textContent = queue.delayed ? `${count(queue.delayed)} wait for another attempt` : "";
  $("n-claimed").textContent = count(queue.claimed);
  $("d-claimed").textContent = `clients ${connections.client} · streams ${connections.sse} · monitors ${connections.monitor}`;
  $("d-rate").textContent = `${count(queue.completed)} completed in all`;
  $("n-workers").replaceChildren(count(workers.busy), el("span", { textContent: ` of ${count(workers.alive)} busy` }));
  $("m-workers").style.width = `${workers.alive ? 100 * workers.busy / workers.alive : 0}%`;
  $("d-workers").textContent = workers.total > workers.alive ? `${workers.total - workers.alive} no longer report in` : "all report in";
  const total = queue.completed + queue.failed;
  $("n-failed").textContent = count(queue.failed);
  $("m-failed").style.width = `${total ? 100 * queue.failed / total : 0}%`;
  $("d-failed").textContent = total ? `${(100 * queue.failed / total).toFixed(1)} % of ended · ${count(queue.cancelled)} cancelled` : "";
  const services = Object.entries(queue.by_service).sort((a, b) => b[1] - a[1]).slice(0, 8);
  const most = Math.max(1, ...services.map(([, n]) => n));
  $("services").replaceChildren(...(services.length ? services.map(([name, n]) => {
    const fill = el("i");
    fill.style.width = `${100 * n / most}%`;
    const since = queue.unserved[name];
    return el("li", {}, el("span", { textContent: name, className: "cut" }), el("b", { textContent: count(n) }), el("div", {}, fill),
      ...(since ? [el("small", { textContent: `no worker serves it, for ${span(now() - since)}` })] : []));
  }) : [el("li", { textContent: "Nothing waits.", className: "dim" })]));
}

function drawChart() {
  const svg = $("chart"), width = svg.clientWidth || 900, height = 132, floor = height - 20, left = 30;
  const end = second(now()), slot = (width - left) / SECONDS;
  const bins = Array.from({ length: SECONDS }, (_, i) => ended.get(end - SECONDS + 1 + i));
  const most = Math.max(1, ...bins.map((bin) => bin ? bin.completed + bin.failed + bin.cancelled : 0));
  const top = most <= 4 ? 4 : Math.ceil(most / 4) * 4;
  let marks = "";
  for (const part of [0, .5, 1]) {
    const y = floor - part * (floor - 8);
    marks += `<line x1="${left}" x2="${width}" y1="${y}" y2="${y}"/><text x="${left - 6}" y="${y + 4}" text-anchor="end">${top * part}</text>`;
  }
  for (const ago of width < 600 ? [120, 60, 0] : [120, 90, 60, 30, 0]) {
    const x = left + (SECONDS - ago) * slot;
    marks += `<text x="${x}" y="${height - 4}" text-anchor="${ago ? ago === 120 ? "start" : "middle" : "end"}">${ago ? `${ago} s ago` : "now"}</text>`;
  }
  bins.forEach((bin, index) => {
    let base = floor;
    for (const kind of ["completed", "failed", "cancelled"]) {
      const tall = bin ? bin[kind] / top * (floor - 8) : 0;
      if (!tall) continue;
      base -= tall;
      marks += `<rect class="${kind}" x="${(left + index * slot + .5).toFixed(1)}" y="${base.toFixed(1)}" width="${Math.max(1, slot - 1).toFixed(1)}" height="${tall.toFixed(1)}" rx="1"/>`;
    }
  });
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.innerHTML = marks;
}

function drawJobs() {
  const state = $("f-state").value, text = $("f-text").value.trim().toLowerCase();
  const shown = [];
  for (const job of [...jobs.values()].reverse()) {
    if (state && job.state !== state) continue;
    if (text && ![job.id, job.service, job.worker, job.client].some((part) => part && part.toLowerCase().includes(text))) continue;
    shown.push(job);
    if (shown.length === ROWS) break;
  }
  shown.sort((a, b) => b.since - a.since);
  const body = $("jobs");
  shown.forEach((job, index) => {
    const node = row(job);
    if (body.children[index] !== node) body.insertBefore(node, body.children[index] ?? null);
  });
  while (body.children.length > shown.length) {
    rows.delete(body.lastElementChild.dataset.id);
    body.lastElementChild.remove();
  }
  $("no-jobs").hidden = shown.length > 0;
}

// A row is made once and then only changed, so that it keeps the keyboard's focus and a selection.
const rows = new Map();
function row(job) {
  let node = rows.get(job.id);
  if (!node) {
    const name = el("button", { type: "button", textContent: job.id, title: job.id, onclick: () => show(job.id) });
    node = el("tr", {}, el("td", {}, name), el("td", { className: "cut", textContent: job.service, title: job.service }),
      el("td"), el("td", { className: "cut" }), el("td", { className: "cut" }), el("td", { className: "r" }));
    node.dataset.id = job.id;
    rows.set(job.id, node);
  }
  const percent = job.state === "completed" ? 100 : job.progress;
  const looks = `${job.state} ${percent} ${job.worker} ${job.note}`;
  if (node.dataset.looks !== looks) {
    node.dataset.looks = looks;
    node.cells[2].replaceChildren(el("span", { className: `pill ${job.state}`, textContent: job.state === "claimed" ? "running" : job.state }));
    node.cells[3].replaceChildren(progressOf(job, percent));
    node.cells[4].textContent = job.worker ?? "–";
  }
  node.cells[5].textContent = span(now() - job.since);
  return node;
}

function progressOf(job, percent) {
  if (percent == null) return el("span", { className: "dim", textContent: job.state === "failed" ? (job.note ?? "–") : "–", title: job.note ?? "" });
  const bar = el("i");
  bar.style.width = `${Math.max(0, Math.min(100, percent))}%`;
  return el("div", { className: `prog ${job.state}` }, el("div", {}, bar), percent < 0 ? "…" : `${Math.round(percent)} %`);
}

function drawWorkers(found) {
  const order = (worker) => (worker.alive ? 0 : 2) - (worker.running.length ? 1 : 0);
  found.sort((a, b) => order(a) - order(b) || a.worker_id.localeCompare(b.worker_id, "en", { numeric: true }));
  $("workers").replaceChildren(...(found.length ? found.map((worker) => {
    const state = !worker.alive ? "dead" : worker.running.length ? "busy" : "idle";
    const said = !worker.alive ? `silent for ${span(now() - worker.seen_at)}` : `${worker.running.length} of ${worker.concurrency}`;
    const sub = worker.running.length ? worker.running.join(", ") : worker.connectors.join(", ");
    return el("li", { className: state }, el("i"), el("span", { textContent: worker.worker_id }), el("small", { textContent: said }),
      ...(sub ? [el("small", { className: "sub", textContent: sub, title: sub })] : []));
  }) : [el("li", {}, el("i"), el("span", { className: "dim", textContent: "No worker has reported in yet." }))]));
}

function said(event) {
  if (event.kind === "progress") return `${Math.round(event.progress)} %${event.message ? ` · ${event.message}` : ""}`;
  return [event.worker_id, event.error ?? event.message].filter(Boolean).join(" · ");
}

const tone = (kind) => kind === "attempt_failed" || kind === "lease_expired" ? "cancelled" : kind === "progress" ? "" : STATE_AFTER[kind];

function drawFeed() {
  $("feed").replaceChildren(...feed.map((event) => el("li", { className: tone(event.kind) }, el("time", { textContent: clock(event.at) }),
    el("b", { textContent: event.kind.replace("_", " ") }), el("span", { textContent: `${event.job_id} ${said(event)}`, title: event.job_id }))));
}

function frame() {
  if (dirty && !document.hidden) {
    dirty = false;
    drawFigures(); drawChart(); drawJobs();
    if (!$("hold").checked) drawFeed();
  }
  setTimeout(frame, 250);
}

// one job
let lives = null;
async function show(id) {
  open = id;
  $("t-id").textContent = id;
  $("t-said").textContent = "";
  $("t-life").replaceChildren();
  $("detail").showModal();
  lives?.close();
  lives = new EventSource(url(`/api/jobs/${encodeURIComponent(id)}/progress`));
  const source = lives;
  const onLife = (message) => addLife(JSON.parse(message.data));
  source.onmessage = onLife;
  for (const kind of [...Object.keys(STATE_AFTER), "log"]) source.addEventListener(kind, onLife);
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) source.close(); };
  await facts(id);
}

const told = new Set();
function addLife(event) {
  if (event.job_id !== open) return;
  const key = `${event.kind} ${event.at} ${event.progress ?? ""} ${event.attempt}`;
  if (!$("t-life").childElementCount) told.clear();
  if (told.has(key)) return;
  told.add(key);
  $("t-life").append(el("li", { className: tone(event.kind) }, el("time", { textContent: clock(event.at) }),
    el("b", { textContent: event.kind.replace("_", " ") }), el("span", { textContent: said(event) })));
  if (event.kind !== "progress") facts(event.job_id);
}

async function facts(id) {
  const job = await call(`/api/jobs/${encodeURIComponent(id)}`).catch((error) => { $("t-said").textContent = error.message; });
  if (!job || open !== id) return;
  const rows = { State: job.status === "claimed" ? "running" : job.status, Service: job.service_required, Priority: job.priority,
    Attempt: `${job.attempt} of ${job.max_retries + 1}`, Worker: job.worker_id, Client: job.client_id, Submitted: clock(job.created_at_ms),
    Waited: job.claimed_at_ms && span(job.claimed_at_ms - job.created_at_ms), Ran: job.ended_at_ms && job.claimed_at_ms && span(job.ended_at_ms - job.claimed_at_ms),
    Place: job.display_position && `${job.display_position} in the line`,
    Waits: job.waiting_reason && `${job.waiting_reason}, for ${span(now() - job.unserved_since_ms)}`, Error: job.error, Reason: job.cancel_reason };
  $("t-facts").replaceChildren(...Object.entries(rows).filter(([, value]) => value != null && value !== "" && value !== 0 || value === 0)
    .map(([name, value]) => el("div", {}, el("dt", { textContent: name }), el("dd", { textContent: value }))));
  await why(id, job.status === "pending");
  $("t-payload").textContent = JSON.stringify(job.payload, null, 2);
  $("t-result").textContent = JSON.stringify(job.result, null, 2);
  $("t-result").hidden = $("t-result-h").hidden = job.result == null;
  $("t-cancel").disabled = !["pending", "claimed"].includes(job.status);
  $("t-retry").disabled = !["failed", "cancelled"].includes(job.status);
}

async function why(id, pending) {
  const found = pending ? await call(`/api/jobs/${encodeURIComponent(id)}/explain`).catch(() => null) : null;
  if (open !== id) return;
  $("t-why").hidden = $("t-why-h").hidden = !found;
  $("t-why").textContent = found?.sentence ?? "";
  $("t-why-not").replaceChildren(...(found?.unable ?? []).slice(0, 50).map((worker) =>
    el("li", {}, el("b", { textContent: worker.worker_id }), el("span", { textContent: worker.reason }))));
}

async function act(verb) {
  const id = open;
  $("t-said").textContent = "";
  await call(`/api/jobs/${encodeURIComponent(id)}/${verb}`, { method: "POST", body: "{}" })
    .catch((error) => { $("t-said").textContent = error.message; });
  await facts(id);
}
$("t-cancel").onclick = () => act("cancel");
$("t-retry").onclick = () => act("retry");
$("detail").addEventListener("close", () => { open = null; lives?.close(); });
$("f-state").onchange = $("f-text").oninput = () => { dirty = true; };
$("here").textContent = location.origin;
$("theme").onclick = () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
};
if (query.get("theme")) document.documentElement.dataset.theme = query.get("theme");
addEventListener("resize", () => { dirty = true; });

$("door").onsubmit = (event) => {
  event.preventDefault();
  query.set("token", $("key").value);
  location.search = query;
};

refill().then(() => { follow(Date.now() - SECONDS * 1000); poll(); frame(); if (query.get("job")) show(query.get("job")); });

// Migration: how much is still said in the hub's protocols, by whom, and what still holds the WebSocket open.
import { get, now } from "../api.js";
import "../chart.js";
import { ago, count, moment, percent, plural, span } from "../format.js";
import { jobsWhere, limits } from "../marks.js";
import { html, nothing } from "../vendor/lit-html/lit-html.js";

const PAGE = 1000;
const PAGES = 10;
const ROWS = 200;
const DAY_MS = 86_400_000;
/** A day is drawn at its noon, so that it has its date in every time zone. */
const NOON_S = 43_200;
const WEEK = 7;
const LEAST_DAYS = 30;

/** What one client has used of the hub's protocols: a row for each protocol and dialect, the latest first. */
const legacyWays = (client) => client.ways.filter((way) => way.legacy).map((way) => ({ ...way, ...lastOf(way) }));

function lastOf(way) {
  const messages = Object.entries(way.messages).sort(([, a], [, b]) => b.count - a.count);
  const agents = Object.entries(way.agents).sort(([, a], [, b]) => b.last_at - a.last_at);
  return { messages, agent: agents[0]?.[0] ?? "", lastAt: Math.max(0, ...messages.map(([, use]) => use.last_at)) };
}

/** The counted days up to today and at least a month, those without a submission too. */
function everyDay({ days, today }) {
  const known = new Map(days.map((one) => [one.day, one]));
  const last = Date.parse(today);
  const first = Math.min(last - (LEAST_DAYS - 1) * DAY_MS, ...days.map(({ day }) => Date.parse(day)));
  return Array.from({ length: (last - first) / DAY_MS + 1 }, (_, index) => {
    const day = new Date(first + index * DAY_MS).toISOString().slice(0, 10);
    return known.get(day) ?? { day, submissions: {} };
  });
}

export function migrationView(page) {
  let usage = null;
  let clients = [];

  async function load(signal) {
    const first = await get("/api/usage", { limit: PAGE }, signal);
    let [found, cursor] = [first.clients, first.cursor];
    for (let pages = 1; cursor && pages < PAGES; pages += 1) {
      const next = await get("/api/usage", { limit: PAGE, cursor }, signal);
      found = [...found, ...next.clients];
      cursor = next.cursor;
    }
    const byName = new Map(found.map((client) => [client.client, client]));
    clients = [...byName.values()].map((client) => ({ ...client, legacy: legacyWays(client) }));
    usage = { ...first, cursor };
  }

  const remaining = () => clients.filter((client) => client.legacy.length)
    .map((client) => ({ ...client, legacyAt: Math.max(...client.legacy.map((way) => way.lastAt)) }))
    .sort((a, b) => b.legacyAt - a.legacyAt);

  const standing = () => {
    const { state } = usage;
    return html`<section class="card"><h2>${state.legacy ? "The hub's protocols are served" : "The hub's protocols are switched off"}</h2>
      ${state.notices.length ? html`<ul class="plain">${state.notices.map((notice) => html`<li>Deprecated since ${moment(notice.deprecated_at, now())}${notice.sunset_at ? `, to end ${moment(notice.sunset_at, now())}` : ""},
        for ${notice.clients.includes("*") ? "every client" : notice.clients.join(", ")} of ${notice.dialects.join(", ")}${notice.message ? `: ${notice.message}` : "."}</li>`)}</ul>` : html`<p class="soft">No client is told that they will end.</p>`}
      ${state.brown_out ? html`<p class="notice">A brown-out refuses ${percent(state.brown_out.share, 1)} of legacy clients until ${moment(state.brown_out.ends_at, now())}.</p>`
        : state.next_brown_out_at ? html`<p>The next brown-out begins in ${span(state.next_brown_out_at - now())}.</p>` : nothing}</section>`;
  };

  const shares = () => {
    const days = everyDay(usage);
    if (!usage.days.length) return html`<section class="card"><h2>Submissions</h2><p class="soft">None has been counted yet.</p></section>`;
    const sum = (some, name) => some.reduce((total, day) => total + (day.submissions[name] ?? 0), 0);
    const week = days.filter(({ day }) => Date.parse(usage.today) - Date.parse(day) < WEEK * DAY_MS);
    const [legacy, modern] = [sum(week, "legacy"), sum(week, "modern")];
    const line = (name, colour) => ({ label: name, values: days.map((day) => day.submissions[name] ?? 0), colour, fill: true });
    return html`<section class="card"><h2>Submissions</h2>
      <p>In the last seven days ${percent(modern, legacy + modern)} of ${plural(legacy + modern, "submission")} were modern (HTTP), ${count(legacy)} came by the hub's protocols.</p>
      <p class="share" aria-hidden="true"><i .style=${`width: ${(100 * modern) / Math.max(1, legacy + modern)}%`}></i></p>
      <time-chart .data=${{ title: "Submissions a day", at: days.map(({ day }) => Date.parse(day) / 1000 + NOON_S), format: count, now,
        lines: [line("legacy", "--cancelled"), line("modern", "--accent")] }}></time-chart></section>`;
  };

  const message = ([name, use]) => html`<li><code>${name}</code> ${count(use.count)}×${name === "refused" ? " turned away"
    : use.instead === null ? html` <b class="bad">HTTP and SSE have nothing for it</b>` : use.instead ? html` <span class="soft">→ ${use.instead.startsWith("not needed") ? use.instead : html`<code>${use.instead}</code>`}</span>` : nothing}</li>`;

  const row = (client, way, index) => html`<tr>
    <th scope="row">${index ? nothing : jobsWhere({ client: client.client }, client.client)}${!index && client.connected ? html`<small class="badge">${plural(client.connected, "socket")} open</small>` : nothing}</th>
    <td data-name="Protocol">${way.protocol}, ${way.dialect}</td>
    <td data-name="Version" class="many">${way.agent || "–"}</td>
    <td data-name="Last seen" class="r" title=${moment(way.lastAt, now())}>${ago(way.lastAt, now())}</td>
    <td data-name="Messages" class="many"><ul>${way.messages.map(message)}</ul></td></tr>`;

  const holding = () => {
    const left = remaining();
    if (!left.length) return html`<section class="card needs fine"><h2>Nothing holds the WebSocket open: no client has used the hub's protocols in ${count(usage.days_kept)} days${usage.counted_since ? html` (counted since ${usage.counted_since})` : nothing}</h2></section>`;
    const open = left.filter((client) => client.connected).length;
    const stuck = left.filter((client) => client.legacy.some((way) => way.messages.some(([name, use]) => name !== "refused" && use.instead === null)));
    const today = left.filter((client) => now() - client.legacyAt < DAY_MS).length;
    return html`<section class="card needs"><h2>What still holds the WebSocket open</h2><ul class="plain">
        <li>${plural(left.length, "client")} used the hub's protocols in the last ${count(usage.days_kept)} days, ${count(today)} of them in the last 24 hours.</li>
        ${open ? html`<li>${plural(open, "client")} ${open === 1 ? "has" : "have"} a WebSocket open to this server now.</li>` : nothing}
        ${stuck.length ? html`<li class="bad">${plural(stuck.length, "client")} used what HTTP and SSE have nothing for: ${stuck.slice(0, 5).map(({ client }) => client).join(", ")}${stuck.length > 5 ? " …" : ""}.</li>` : nothing}
      </ul></section>
      <h2>Clients that remain</h2>
      <div class="card scroll" tabindex="0" role="region" aria-label="Clients that remain"><table>
        <thead><tr><th scope="col">Client</th><th scope="col">Protocol, dialect</th><th scope="col">Version</th><th scope="col" class="r">Last seen</th><th scope="col">Messages used</th></tr></thead>
        <tbody>${left.slice(0, ROWS).map((client) => client.legacy.map((way, index) => row(client, way, index)))}</tbody></table></div>
      ${left.length > ROWS ? html`<p class="soft">and ${count(left.length - ROWS)} more, seen longer ago: <code>hubgate usage</code> lists all.</p>` : nothing}`;
  };

  return {
    title: "Migration",
    every: 30_000,
    load,
    routed: () => page.reload(),
    render() {
      if (!usage) return html`<p class="empty" role="status">Reading…</p>`;
      return html`${standing()} ${shares()} ${holding()}
        <p class="soft">${plural(clients.length - remaining().length, "client")} used HTTP and SSE only.</p>
        ${limits(`Use is counted by client and day for ${usage.days_kept} days; a request with many jobs counts once.`,
          usage.forgotten ? `${plural(usage.forgotten, "client")} had to make room for others and are not here.` : "",
          usage.cursor ? "There are more clients than were read." : "", "Sockets open to other API servers.")}`;
    },
  };
}

// Small pieces that several views show.
import { stateWord } from "./format.js";
import { to } from "./router.js";
import { html, nothing } from "./vendor/lit-html/lit-html.js";

/** A state, by colour and by word. */
export const pill = (state) => html`<span class="pill ${state}">${stateWord(state)}</span>`;

export const jobLink = (id) => html`<a class="id" href=${to("jobs", id)} title=${id}>${id}</a>`;

/** Links to jobs that have something in common: `jobsWhere({ service: "image" }, "image")`. */
export const jobsWhere = (query, text) => html`<a href=${to("jobs", query)}>${text}</a>`;

/** How far a running job is. */
export function progressBar(value) {
  if (value == null || value < 0) return html`<span class="soft">working</span>`;
  return html`<span class="progress" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(value)}>
    <i><b .style=${`width: ${Math.min(100, value)}%`}></b></i>${Math.round(value)} %</span>`;
}

/** A figure with its name, and smaller lines below. */
export const tile = (name, value, ...notes) => html`<div class="card tile"><dt>${name}</dt><dd><b>${value}</b>${notes.map((note) => html`<small>${note}</small>`)}</dd></div>`;

/** A button that changes something: not there for who may only read. */
export const action = (page, name, run, kind = "") =>
  page.session.may_write ? html`<button type="button" class=${kind} @click=${run}>${name}</button>` : nothing;

/** What a view leaves out, said at its end. */
export const limits = (...sentences) => html`<p class="limits"><b>What this page does not show.</b> ${sentences.join(" ")}</p>`;

/** Choices of which one holds, as links, so that Back goes to the one before. */
export const choices = (label, options, current) => html`<div class="chips" role="group" aria-label=${label}>
  ${options.map(({ name, address, value, note }) => html`<a class="chip" href=${address} aria-current=${value === current ? "true" : "false"}>${name}${note == null ? nothing : html` <small>${note}</small>`}</a>`)}
</div>`;

// The form that submits a job once more, with what its reader changes.
import { post } from "../api.js";
import { layOut, objectProblem } from "../json.js";
import { bodyOf } from "./copies.js";
import { html } from "../vendor/lit-html/lit-html.js";

/** The form, filled in from a job's members; `done` gets the new job's id. */
export function againForm(parts, { page, close, done }) {
  const submit = async (event) => {
    event.preventDefault();
    const form = event.target;
    const fields = new FormData(form);
    const problem = objectProblem(fields.get("payload"));
    form.elements.payload.setCustomValidity(problem ?? "");
    if (!form.reportValidity()) return;
    const changes = {
      service_required: JSON.stringify(fields.get("service").trim()),
      priority: fields.get("priority"),
      max_retries: fields.get("max_retries"),
      payload: fields.get("payload"),
    };
    if (fields.get("id").trim()) changes.id = JSON.stringify(fields.get("id").trim());
    try {
      done((await post("/api/jobs", bodyOf(parts, changes))).job_id);
      page.say("Submitted.");
    } catch (error) {
      page.say(error.message);
    }
  };
  return html`<form class="card again" @submit=${submit} aria-label="Submit again with changes">
    <h2>Submit again with changes</h2>
    <div class="fields">
      <label>Service <input name="service" required .value=${JSON.parse(parts.service_required)}></label>
      <label>Priority <input name="priority" type="number" step="1" required .value=${parts.priority}></label>
      <label>Retries at most <input name="max_retries" type="number" min="0" max="1000" step="1" required .value=${parts.max_retries}></label>
      <label>Id <input name="id" placeholder="chosen by the server" maxlength="256"></label>
    </div>
    <label>Payload <textarea name="payload" rows="10" spellcheck="false" .value=${layOut(parts.payload)}
      @input=${(event) => event.target.setCustomValidity("")}></textarea></label>
    <div class="actions"><button class="main">Submit</button> <button type="button" @click=${close}>Leave it</button></div>
  </form>`;
}

// Workers: what each one runs and could run, and whether it takes more.
import { get, now, post } from "../api.js";
import { ask } from "../ask.js";
import { ago, count, moment, plural, pretty, span } from "../format.js";
import { action, jobLink, jobsWhere, limits } from "../marks.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { html, nothing } from "../vendor/lit-html/lit-html.js";

export function workersView(page) {
  let workers = null;

  async function change(worker, verb, said) {
    try {
      await post(`/api/workers/${encodeURIComponent(worker.worker_id)}/${verb}`);
      page.say(said);
    } catch (error) {
      page.say(error.message);
    }
    page.reload();
  }

  async function drain(worker) {
    const body = html`<p>It claims no more jobs and finishes ${worker.running.length ? `the ${plural(worker.running.length, "job")} that it has` : "at once"}. It goes on running, and can be told to claim again.</p>`;
    if (await ask({ title: `Drain ${worker.worker_id}?`, body, action: "Drain" })) await change(worker, "drain", `${worker.worker_id} claims no more.`);
  }

  const standing = (worker) => {
    if (!worker.alive) return ["dead", `silent for ${span(now() - worker.seen_at)}`];
    if (worker.draining_since) return ["draining", worker.running.length ? "drains" : "drained: it may be stopped"];
    return worker.running.length ? ["busy", "busy"] : ["idle", "idle"];
  };

  const row = (worker) => {
    const [kind, word] = standing(worker);
    return html`<tr>
      <th scope="row"><span class="id">${worker.worker_id}</span>
        <small title=${`${worker.host} ${worker.pid || ""}; since ${moment(worker.registered_at, now())}`}>${worker.version ? `version ${worker.version}, ` : ""}up for ${span(now() - worker.registered_at)}</small></th>
      <td data-name="State"><span class="pill ${kind}">${word}</span>
        ${worker.alive ? html`<small title=${moment(worker.seen_at, now())}>seen ${ago(worker.seen_at, now())}</small>` : nothing}</td>
      <td data-name="Places" class="r">${worker.running.length} of ${worker.concurrency}</td>
      <td data-name="Runs" class="many">${worker.running.length ? worker.running.map((id) => html`${jobLink(id)} `) : html`<span class="soft">nothing</span>`}</td>
      <td data-name="Serves" class="many">${worker.services.map((name) => (name === "*" ? "every service " : html`${jobsWhere({ service: name }, name)} `))}</td>
      <td data-name="Completed" class="r">${jobsWhere({ worker: worker.worker_id }, count(worker.jobs_processed))}</td>
      <td data-name="Told of itself"><details><summary>${worker.connectors.join(", ") || "capabilities"}</summary>
        <pre tabindex="0" aria-label=${`Capabilities of ${worker.worker_id}`}>${pretty(worker.capabilities)}</pre></details></td>
      <td class="r act">${worker.draining_since ? action(page, "Claim again", () => change(worker, "resume", `${worker.worker_id} claims again.`), "main")
        : worker.alive ? action(page, "Drain…", () => drain(worker)) : nothing}</td>
    </tr>`;
  };

  const columns = [["Worker"], ["State"], ["Places taken", "r"], ["Runs"], ["Serves"], ["Completed", "r"], ["Told of itself"]];
  const table = () => html`<div class="card scroll" tabindex="0" role="region" aria-label="Workers"><table>
    <thead><tr>${columns.map(([name, kind = ""]) => html`<th scope="col" class=${kind}>${name}</th>`)}<th scope="col" class="act"><span class="unseen">Actions</span></th></tr></thead>
    <tbody>${repeat(workers, (worker) => worker.worker_id, row)}</tbody></table></div>`;

  return {
    title: "Workers",
    every: 2000,
    async load(signal) {
      workers = (await get("/api/workers", {}, signal)).workers;
    },
    render() {
      if (!workers) return html`<p class="empty" role="status">Reading…</p>`;
      const alive = workers.filter((worker) => worker.alive);
      const places = alive.reduce((sum, worker) => sum + worker.concurrency, 0);
      const taken = alive.reduce((sum, worker) => sum + worker.running.length, 0);
      return html`
        <p class="soft">${plural(alive.length, "worker")} alive, ${count(taken)} of ${plural(places, "place")} taken.</p>
        ${workers.length ? table() : html`<p class="empty">No worker has reported in. Start one: <code>python -m new_stack.worker --connector …</code></p>`}
        ${limits("Workers that were silent for longer than HUBGATE_FORGET_WORKER_MS (a minute unless set). What a worker runs is as of its last heartbeat.")}`;
    },
  };
}

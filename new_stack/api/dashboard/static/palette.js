// Ctrl+K or ⌘K: go to a view or a job, or do something, by typing.
import { get } from "./api.js";
import { PLACES, switchTheme } from "./frame.js";
import { stateWord } from "./format.js";
import { go, to } from "./router.js";
import { html, nothing, render } from "./vendor/lit-html/lit-html.js";

const FOUND = 6;
const PAUSE_MS = 150;

const fixed = () => [
  ...PLACES.map(([name, part]) => ({ name: `Go to ${name}`, run: () => go(to(part)) })),
  { name: "Jobs that failed", run: () => go(to("jobs", { state: "failed" })) },
  { name: "Jobs that run", run: () => go(to("jobs", { state: "claimed" })) },
  { name: "Switch between light and dark", run: switchTheme },
];

export function openPalette(page) {
  if (document.querySelector("dialog.palette")) return;
  const dialog = Object.assign(document.createElement("dialog"), { className: "palette", ariaLabel: "Go to" });
  const state = { text: "", jobs: [], at: 0, timer: 0 };

  const choices = () => {
    const words = state.text.toLowerCase();
    const known = fixed().filter(({ name }) => name.toLowerCase().includes(words));
    const jobs = state.jobs.map((job) => ({
      name: job.job_id,
      note: `${job.service_required} · ${stateWord(job.status)}`,
      run: () => go(to("jobs", job.job_id)),
    }));
    const all = words ? [{ name: `Search all jobs for “${state.text}”`, run: () => go(to("jobs", { q: state.text })) }] : [];
    return [...jobs, ...known, ...all];
  };
  const choose = (choice) => {
    dialog.close();
    choice?.run();
  };
  const onKey = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      const all = choices().length;
      state.at = (state.at + step + all) % all;
      draw();
      dialog.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") {
      event.preventDefault();
      choose(choices()[state.at]);
    }
  };
  const onInput = (event) => {
    [state.text, state.at] = [event.target.value.trim(), 0];
    clearTimeout(state.timer);
    state.timer = setTimeout(search, PAUSE_MS);
    draw();
  };
  const search = async () => {
    const asked = state.text;
    const found = asked ? await get("/api/jobs", { q: asked, limit: FOUND }).catch(() => ({ jobs: [] })) : { jobs: [] };
    if (asked !== state.text) return;
    state.jobs = found.jobs;
    draw();
  };
  const draw = () =>
    render(
      html`<input type="search" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-label="Go to a view or a job"
          aria-activedescendant=${`choice-${state.at}`} placeholder="A view, or a job's id, client or error" autocomplete="off"
          @input=${onInput} @keydown=${onKey}>
        <ul id="palette-list" role="listbox" aria-label="Choices">
          ${choices().map((choice, index) => html`<li id=${`choice-${index}`} role="option" aria-selected=${index === state.at ? "true" : "false"}
            @click=${() => choose(choice)}><span>${choice.name}</span>${choice.note ? html`<small>${choice.note}</small>` : nothing}</li>`)}
        </ul>`,
      dialog,
    );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  draw();
  dialog.showModal();
  dialog.querySelector("input").focus();
  page.redraw();
}

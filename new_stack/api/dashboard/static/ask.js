// A question before something is changed, as a modal dialog.
import { html, nothing, render } from "./vendor/lit-html/lit-html.js";

/** Show a text to be copied by hand: a browser gives its clipboard to secure pages only. */
export function showText(title, text) {
  const body = html`<textarea readonly rows="12" aria-label=${title} .value=${text}></textarea>`;
  const agreed = ask({ title, body, action: "Done" });
  const field = [...document.querySelectorAll("dialog textarea")].at(-1);
  field.focus();
  field.select();
  return agreed;
}

/** Whether the person agrees. `body` may be a template; a form field in it is read by the caller's own handlers. */
export function ask({ title, body = nothing, action, danger = false }) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "ask-title");
  render(
    html`<form method="dialog">
      <h2 id="ask-title">${title}</h2>
      ${body}
      <div class="actions">
        <button value="no" type="button" @click=${() => dialog.close("no")}>Leave it</button>
        <button value="yes" class=${danger ? "main danger" : "main"}>${action}</button>
      </div>
    </form>`,
    dialog,
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

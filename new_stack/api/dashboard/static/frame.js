// What stands around every view: navigation, the state of the connection, sign-in.
import { now, post } from "./api.js";
import { span } from "./format.js";
import { openPalette } from "./palette.js";
import { to } from "./router.js";
import { html, nothing } from "./vendor/lit-html/lit-html.js";

export const PLACES = [
  ["Overview", ""],
  ["Jobs", "jobs"],
  ["Failures", "failures"],
  ["Workers", "workers"],
  ["Services", "services"],
  ["Migration", "migration"],
];

export function frame(page, view) {
  const closed = page.session.token_required && !page.session.signed_in;
  return html`
    <a class="skip" href="#main">Skip to the content</a>
    <header>
      <a class="brand" href="/dashboard"><img src="/dashboard/static/icon.svg" alt="" width="22" height="22">hubgate</a>
      ${link(page)}
      <button class="search" type="button" @click=${() => openPalette(page)} aria-keyshortcuts="Control+K Meta+K">
        <span>Go to…</span><kbd>${/Mac|iP/.test(navigator.platform) ? "⌘" : "Ctrl"} K</kbd>
      </button>
      <button type="button" class="icon" @click=${switchTheme} aria-label="Switch between light and dark" title="Light or dark">◐</button>
      ${page.session.token_required && page.session.signed_in ? html`<button type="button" @click=${() => signOut(page)}>Sign out</button>` : nothing}
    </header>
    <nav aria-label="Views">
      ${PLACES.map(([name, part]) => html`<a href=${to(part)} aria-current=${(page.route.parts[0] ?? "") === part ? "page" : "false"}>${name}</a>`)}
    </nav>
    <main id="main">
      <h1 tabindex="-1">${closed ? "Sign in" : view.title}</h1>
      ${page.refused && !closed ? html`<p class="notice bad" role="alert">${page.refused}</p>` : nothing}
      ${closed ? door(page) : view.render()}
    </main>
    <p class="toast" role="status" ?hidden=${!page.said}>${page.said}
      ${page.said ? html`<button type="button" class="icon" aria-label="Close" @click=${() => page.say("")}>✕</button>` : nothing}</p>`;
}

function link(page) {
  const { lost, heardAt } = page.link;
  const text = lost ? `${lost} Shown is what it said ${span(now() - heardAt)} ago; trying again.` : "live";
  // Only that it was lost is announced: the seconds would be read out one after the other.
  return html`<p class="link" data-state=${lost ? "lost" : "live"}>
    <i></i><span aria-hidden=${lost ? "true" : "false"}>${text}</span>
    <span class="unseen" role="status">${lost ? "Connection lost" : ""}</span></p>
    <p class="printed">${location.href}, as of ${new Date(lost ? heardAt : now()).toLocaleString("en-GB")}</p>`;
}

function door(page) {
  return html`
    <form class="card door" @submit=${(event) => signIn(event, page)}>
      <p>This server wants its token. The browser keeps it in a cookie that scripts cannot read.</p>
      <label>Token <input name="token" type="password" autocomplete="current-password" required
        aria-describedby="door-said" aria-invalid=${page.wrong ? "true" : "false"}></label>
      <button class="main">Sign in</button>
      <p id="door-said" role="alert" class="bad">${page.wrong ?? ""}</p>
    </form>`;
}

async function signIn(event, page) {
  event.preventDefault();
  page.wrong = null;
  try {
    await post("/api/session", { token: new FormData(event.target).get("token") });
    await page.signedIn();
  } catch (error) {
    page.wrong = error.status === 401 ? "This token is wrong." : error.message;
  }
  page.redraw();
}

async function signOut(page) {
  await post("/api/session", {}, "DELETE").catch((error) => page.say(error.message));
  await page.signedIn();
}

/** Change to the other theme than the one that is seen, and remember it. */
export function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("hubgate-theme", root.dataset.theme);
  dispatchEvent(new Event("theme"));
}

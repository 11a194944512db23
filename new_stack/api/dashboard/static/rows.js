// <long-list>: a list of any length of which only the rows in sight are in the document; on paper all are.
import { html, render } from "./vendor/lit-html/lit-html.js";
import { repeat } from "./vendor/lit-html/directives/repeat.js";

const AHEAD = 10;
const PRINT = ["beforeprint", "afterprint"];

class LongList extends HTMLElement {
  #given = { items: [], key: null, row: null, more: null, rowHeight: 40 };
  #onScroll = () => this.#draw();
  #onPrint = ({ type }) => this.#draw(type === "beforeprint");

  /** `{ items, key(item), row(item, index), rowHeight, more() }`; `more` is called when the end comes in sight. */
  set content(content) {
    this.#given = content;
    if (this.isConnected) this.#draw();
  }

  connectedCallback() {
    addEventListener("scroll", this.#onScroll, { passive: true });
    addEventListener("resize", this.#onScroll);
    for (const kind of PRINT) addEventListener(kind, this.#onPrint);
    this.#draw();
  }

  disconnectedCallback() {
    removeEventListener("scroll", this.#onScroll);
    removeEventListener("resize", this.#onScroll);
    for (const kind of PRINT) removeEventListener(kind, this.#onPrint);
  }

  #draw(all = false) {
    const { items, key, row, more, rowHeight } = this.#given;
    if (!row) return;
    const top = -this.getBoundingClientRect().top;
    const first = all ? 0 : Math.max(0, Math.min(items.length, Math.floor(top / rowHeight) - AHEAD));
    const last = all ? items.length : Math.min(items.length, Math.ceil((top + innerHeight) / rowHeight) + AHEAD);
    this.style.height = `${items.length * rowHeight}px`;
    const seen = items.slice(first, Math.max(first, last)).map((item, index) => [item, first + index]);
    render(
      html`${repeat(seen, ([item]) => key(item), ([item, index]) => html`<div class="row" role="row" aria-rowindex=${index + 2}
        .style=${`top: ${index * rowHeight}px; height: ${rowHeight}px`}>${row(item, index)}</div>`)}`,
      this,
    );
    if (last >= items.length && !all) more?.();
  }
}

customElements.define("long-list", LongList);

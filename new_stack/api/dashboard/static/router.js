// Which view a path means, and how links, Back and scripts move between them.
const ROOT = "/dashboard";

/** The address of a view: `to("jobs", "a/b")`, `to("jobs", { state: "failed" })`. */
export function to(...parts) {
  const query = typeof parts.at(-1) === "object" ? parts.pop() : {};
  const kept = Object.entries(query).filter(([, value]) => value != null && value !== "");
  const path = [ROOT, ...parts.filter(Boolean).map(encodeURIComponent)].join("/");
  return kept.length ? `${path}?${new URLSearchParams(kept)}` : path;
}

/** The parts of the present path, and its query. */
export function here() {
  const parts = location.pathname.slice(ROOT.length).split("/").filter(Boolean);
  return { parts: parts.map(decoded), query: Object.fromEntries(new URLSearchParams(location.search)) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Go somewhere; `replace` where Back shall not come here again. */
export function go(address, { replace = false } = {}) {
  if (address === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  dispatchEvent(new Event("route"));
}

/** Call `changed` whenever another path is shown, however it came about. */
export function watch(changed) {
  addEventListener("popstate", changed);
  addEventListener("route", changed);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    const own = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !own || event.defaultPrevented || link.target || link.origin !== location.origin) return;
    if (link.pathname !== ROOT && !link.pathname.startsWith(`${ROOT}/`)) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

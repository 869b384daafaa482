/** Earlier searches, kept by this browser alone. Uploads are left out: they cannot be repeated. */

import { byId, make } from "./dom.js";
import { fill, moment } from "./format.js";
import { VIDEOS } from "./state.js";

const MOST = 20;
const place = byId("history");
// People who share a browser do not see each other's.
const KEY = `searches of ${place.dataset.who}`;

/** Note a search that has been answered. */
export function remember(state, address) {
  const { query, where } = state;
  if (!query || query.upload || query.shared) return;
  const name = nameOf(query);
  const label = where === VIDEOS ? fill(gettext("%(name)s, in videos"), { name }) : name;
  const others = read().filter((entry) => entry.label !== label);
  write([{ label, address, at: Date.now() }, ...others].slice(0, MOST));
  show();
}

export function show() {
  const entries = read();
  place.hidden = !entries.length;
  byId("history-list").replaceChildren(...entries.map(rowOf));
}

byId("history-clear").addEventListener("click", () => {
  write([]);
  show();
  byId("words").focus();
});

function nameOf({ id, url, text }) {
  if (id) return fill(gettext("Picture #%(id)s"), { id });
  return url ?? fill(gettext("“%(text)s”"), { text });
}

function rowOf({ label, address, at }) {
  const link = make("a", { href: address, title: label }, label);
  const time = make("span", { className: "muted" }, moment(at));
  return make("li", {}, link, time);
}

/** A browser may keep nothing, or something else under this name. */
function read() {
  try {
    const entries = JSON.parse(localStorage.getItem(KEY)) ?? [];
    return entries.filter(({ address }) => address.startsWith("?"));
  } catch {
    return [];
  }
}

function write(entries) {
  try {
    if (entries.length) localStorage.setItem(KEY, JSON.stringify(entries));
    else localStorage.removeItem(KEY);
  } catch {
    // Then there is no history.
  }
}

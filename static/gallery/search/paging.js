/** Ways to what is not shown yet: further results of a search, other pages of what is stored. */

import { button, make } from "./dom.js";
import { fill } from "./format.js";
import { MAX_LIMIT } from "./state.js";

const STEP = 20;

/** More results with a higher limit, up to what a search returns at most; null if there are none. */
export function moreResults({ number, limit }, onLimit) {
  if (number < limit) return null;
  if (limit >= MAX_LIMIT) {
    return make("p", { className: "muted" }, fill(gettext("A search shows %(n)s results at most."), { n: MAX_LIMIT }));
  }
  return button(gettext("Load more"), () => onLimit(Math.min(MAX_LIMIT, limit + STEP)));
}

/** To the pages before and after one of what is stored; null if it is the only one. */
export function pages({ newer, older }, onCursor) {
  if (!newer && !older) return null;
  const go = (label, cursor) => {
    const node = button(label, () => onCursor(cursor));
    node.disabled = !cursor;
    return node;
  };
  const node = make("nav", { className: "pages" }, go(gettext("← Newer"), newer), go(gettext("Older →"), older));
  node.setAttribute("aria-label", gettext("Pages"));
  return node;
}

/** The queue by keyboard: j and k, Enter, n, u, g, [ and ]. */

import { prepareFilters } from "./filters.js";
import { post, say } from "./http.js";
import { bind } from "./keys.js";
import { keepPosition, returnToPosition } from "./position.js";

const rows = [...document.querySelectorAll("[data-row]")];

function move(by) {
  const here = rows.indexOf(document.activeElement);
  const next = here < 0 ? (by > 0 ? 0 : rows.length - 1) : here + by;
  rows[Math.min(Math.max(next, 0), rows.length - 1)]?.focus();
}

function follow(selector) {
  document.querySelector(selector)?.click();
}

/** Undo the last decision, and show its case. */
async function undoLast() {
  try {
    const answer = await post(undo.dataset.undoLast);
    location.assign(answer.ask ?? answer.next.url);
  } catch (error) {
    say(error.message, true);
  }
}

const undo = document.querySelector("[data-undo-last]");
undo?.addEventListener("click", undoLast);

bind({
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  n: () => follow("[data-next]"),
  u: () => follow("[data-undo-last]"),
  g: () => follow("[data-go=g]"),
  "]": () => follow("a[rel=next]"),
  "[": () => follow("a[rel=prev]"),
});

prepareFilters();
for (const [at, row] of rows.entries()) {
  row.addEventListener("click", () => keepPosition(at));
}
returnToPosition(rows);

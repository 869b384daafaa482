/** The queue by keyboard: j and k, Enter, n, g, [ and ]. */

import { prepareFilters } from "./filters.js";
import { bind } from "./keys.js";

const rows = [...document.querySelectorAll("[data-row]")];

function move(by) {
  const here = rows.indexOf(document.activeElement);
  const next = here < 0 ? (by > 0 ? 0 : rows.length - 1) : here + by;
  rows[Math.min(Math.max(next, 0), rows.length - 1)]?.focus();
}

function follow(selector) {
  document.querySelector(selector)?.click();
}

bind({
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  n: () => follow("[data-next]"),
  g: () => follow("[data-go=g]"),
  "]": () => follow("a[rel=next]"),
  "[": () => follow("a[rel=prev]"),
});

prepareFilters();

/** Thumbnails to choose from and decide at once, by keyboard. */

import { prepareFilters } from "./filters.js";
import { post, say } from "./http.js";
import { bind } from "./keys.js";

const STEPS = ["blur", "grey", "lines", "clear"];
const page = document.querySelector("[data-grid]");
let form, boxes, all, everything, count;

/** Find what is on the page, when it opens and whenever it has changed. */
function find() {
  form = page.querySelector("[data-bulk]");
  boxes = [...page.querySelectorAll("[data-thumb] input")];
  all = page.querySelector("[data-all]");
  everything = page.querySelector("[data-everything]");
  count = page.querySelector("[data-count]");
  prepareFilters();
}

function chosen() {
  return boxes.filter((box) => box.checked);
}

function tell() {
  if (!form) return;
  const number = chosen().length;
  all.checked = number > 0 && number === boxes.length;
  all.indeterminate = number > 0 && number < boxes.length;
  if (everything?.checked) count.textContent = gettext("everything");
  else count.textContent = number ? interpolate(gettext("%(number)s selected"), { number }, true) : gettext("none selected");
}

function columns() {
  const top = boxes[0]?.getBoundingClientRect().top;
  return boxes.filter((box) => box.getBoundingClientRect().top === top).length || 1;
}

function here() {
  return document.activeElement.closest(".thumb-cell")?.querySelector("[data-thumb] input");
}

function move(by) {
  const at = boxes.indexOf(here());
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), boxes.length - 1);
  boxes[next]?.focus();
}

function show(img, step) {
  img.dataset.step = step;
  img.onerror = () => {
    img.onerror = () => { img.onerror = null; };
    img.dataset.step = "blur";
    img.src = img.dataset.url.replace("STEP", "blur");
  };
  img.src = img.dataset.url.replace("STEP", step);
}

function more() {
  const img = here()?.closest("[data-thumb]").querySelector("img");
  if (img) show(img, STEPS[Math.min(STEPS.indexOf(img.dataset.step) + 1, STEPS.length - 1)]);
}

function blurAll() {
  for (const img of page.querySelectorAll("[data-thumb] img")) {
    if (img.dataset.step !== "blur") show(img, "blur");
  }
}

addEventListener("pagehide", blurAll);

function decide(verb) {
  if (!chosen().length && !everything?.checked) {
    const box = here();
    if (!box) return say(gettext("Select some cases first: press Space on a picture."), true);
    box.checked = true;
  }
  form.requestSubmit(form.querySelector(`[name=verb][value=${verb}]`));
}

async function undo() {
  try {
    const done = await post(page.dataset.undo);
    if (done.ask) return location.assign(done.ask);
    say(done.message);
  } catch (error) {
    return say(error.message, true);
  }
  await showAgain();
}

/** Show what waits now. Keys act meanwhile: what they focused and selected stays so. */
async function showAgain() {
  const response = await fetch(location.href);
  const text = await response.text();
  const now = new DOMParser().parseFromString(text, "text/html").querySelector("[data-grid]");
  if (!now) return location.reload();
  const [focused, selected] = [here()?.value, chosen().map((box) => box.value)];
  page.replaceChildren(...now.childNodes);
  find();
  for (const box of boxes) box.checked = selected.includes(box.value);
  (boxes.find((box) => box.value === focused) ?? boxes[0])?.focus({ preventScroll: true });
  tell();
}

const follow = (selector) => document.querySelector(selector)?.click();

page.addEventListener("change", (event) => {
  if (event.target === all) for (const box of boxes) box.checked = all.checked;
  tell();
});
page.addEventListener("submit", (event) => {
  if (event.target !== form) return;
  const ids = chosen().map((box) => box.value);
  if (!ids.length && !everything?.checked) {
    event.preventDefault();
    say(gettext("Select some cases first: press Space on a picture."), true);
    return;
  }
  form.elements.cases.value = ids.join(",");
  form.elements.all.value = everything?.checked ? "1" : "0";
});

find();
tell();
boxes[0]?.focus({ preventScroll: true });

bind({
  ArrowRight: () => move(1),
  ArrowLeft: () => move(-1),
  ArrowDown: () => move(columns()),
  ArrowUp: () => move(-columns()),
  j: () => move(1),
  k: () => move(-1),
  a: () => all?.click(),
  v: more,
  b: blurAll,
  Enter: () => here()?.closest(".thumb-cell").querySelector("a").click(),
  c: () => decide("confirm"),
  d: () => decide("dismiss"),
  e: () => decide("escalate"),
  u: undo,
  q: () => location.assign(page.dataset.queue),
  "]": () => follow("a[rel=next]"),
  "[": () => follow("a[rel=prev]"),
});

/** One case at a time: look, decide, and the next one is put in its place. */

import { post, say } from "./http.js";
import { bind } from "./keys.js";
import { queueAddress } from "./position.js";
import { Viewer } from "./viewer.js";

const RENEW = 15_000;
const WHY = {
  confirm: () => gettext("Why confirm?"),
  dismiss: () => gettext("Why dismiss?"),
  escalate: () => gettext("Why escalate?"),
  appeal: () => gettext("Why appeal?"),
};
const page = document.querySelector(".focus");
const place = page.querySelector("[data-place]");
const dialog = page.querySelector("[data-reasons]");
const note = dialog.querySelector("textarea");
const allow = dialog.querySelector("[name=allow]");
const query = page.dataset.query ? `?${page.dataset.query}` : "";

let article, viewer;
let busy = false;

function begin() {
  article = place.querySelector("[data-case]");
  viewer = new Viewer(article);
  for (const button of article.querySelectorAll("[data-verb]")) {
    button.addEventListener("click", (event) => choose(button.dataset.verb, event.shiftKey || asks()));
  }
  for (const button of article.querySelectorAll("[data-do=skip]")) {
    button.addEventListener("click", skip);
  }
  article.querySelector("[data-close]")?.addEventListener("click", (event) => {
    event.target.closest("aside").remove();
    article.querySelector("h2").focus();
  });
  renew();
}

addEventListener("pagehide", () => viewer.cover());

/** Replace this case by the next one; the focus goes to its heading. */
function turn(answer) {
  if (answer.ask) {
    location.assign(answer.ask);
    return;
  }
  if (!answer.next) {
    location.assign(queueAddress(page.dataset.queue, query));
    return;
  }
  viewer.close();
  place.innerHTML = answer.next.html;
  document.title = document.title.replace(/^[^|]*/, `${answer.next.title} `);
  history.pushState(null, "", answer.next.url);
  begin();
  article.querySelector("h2").focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** Send something about this case; one at a time, so that a key held down decides once. */
async function send(url, fields, undo = null) {
  if (busy) return;
  busy = true;
  article.setAttribute("aria-busy", "true");
  try {
    const answer = await post(url + query, fields);
    turn(answer);
    if (answer.message) say(answer.message, false, undo);
  } catch (error) {
    say(error.message, true);
  } finally {
    busy = false;
    article.removeAttribute("aria-busy");
  }
}

function button(verb) {
  return article.querySelector(`[data-verb=${verb}]:not(:disabled)`);
}

/** Whether the next decision is to have a reason, a note or an exception. */
function asks() {
  return Boolean(article.querySelector("[data-asks]")?.checked);
}

function choose(verb, withReason) {
  if (!button(verb)) return;
  if (withReason) ask(verb);
  else decide(verb);
}

function decide(verb, reason = "") {
  const cluster = article.querySelector("[data-cluster]")?.checked ? "1" : "0";
  const allowed = verb === "dismiss" && allow.checked ? "1" : "0";
  const fields = { verb, reason, note: note.value, cluster, allow: allowed };
  note.value = "";
  allow.checked = false;
  send(article.dataset.decide, fields, undoLast);
}

function undoLast() {
  send(page.dataset.undo);
}

function ask(verb) {
  for (const fieldset of dialog.querySelectorAll("[data-for]")) {
    fieldset.hidden = fieldset.dataset.for !== verb;
  }
  dialog.dataset.verb = verb;
  dialog.querySelector("h2").textContent = WHY[verb]();
  dialog.querySelector("[data-allow-row]").hidden = verb !== "dismiss";
  dialog.showModal();
  reasons()[0].focus();
}

function reasons() {
  return [...dialog.querySelectorAll("fieldset:not([hidden]) [data-reason]")];
}

for (const one of dialog.querySelectorAll("[data-reason]")) {
  one.addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
    decide(dialog.dataset.verb, one.dataset.reason);
  });
}

note.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) reasons()[0].click();
});

function skip() {
  send(article.dataset.skip);
}

/** Report that the page is open, which renews the lock, and show who else is there. */
async function renew(fields = {}) {
  const asked = article;
  let there;
  try {
    there = await post(asked.dataset.presence, fields);
  } catch (error) {
    if (fields.take_over) say(error.message, true);
    return;
  }
  if (asked !== article) return;
  const line = article.querySelector("[data-holder]");
  const others = there.others.filter((name) => name !== there.holder);
  const parts = [];
  if (there.holder && !there.mine) {
    parts.push(interpolate(gettext("%(person)s is working on this case. t takes it over."), { person: there.holder }, true));
  }
  if (others.length) {
    const text = ngettext("%(people)s also has it open.", "%(people)s also have it open.", others.length);
    parts.push(interpolate(text, { people: others.join(", ") }, true));
  }
  line.hidden = parts.length === 0;
  if (line.textContent !== parts.join(" ")) line.textContent = parts.join(" ");
}

function arrow(x, y) {
  if (!viewer.pan(-x * 0.1, -y * 0.1) && x) viewer.stepFrame(x);
}

async function takeOver() {
  if (article.dataset.open !== "1") return;
  await renew({ take_over: "1" });
  // The server decides what is allowed now.
  location.reload();
}

function digit(n) {
  return () => reasons()[n - 1]?.click();
}

bind({
  c: () => choose("confirm"),
  d: () => choose("dismiss"),
  e: () => choose("escalate"),
  C: () => choose("confirm", true),
  D: () => choose("dismiss", true),
  E: () => choose("escalate", true),
  A: () => choose("appeal", true),
  s: skip,
  u: undoLast,
  " ": () => viewer.more(),
  x: () => viewer.show("clear"),
  b: () => viewer.show("blur"),
  p: () => viewer.play(),
  "+": () => viewer.zoom("in"),
  "=": () => viewer.zoom("in"),
  "-": () => viewer.zoom("out"),
  0: () => viewer.zoom("reset"),
  ArrowLeft: () => arrow(-1, 0),
  ArrowRight: () => arrow(1, 0),
  ArrowUp: () => arrow(0, -1),
  ArrowDown: () => arrow(0, 1),
  o: () => viewer.toggleRegion(),
  v: () => viewer.nextView(),
  f: () => viewer.flip(),
  r: () => viewer.toggleAsUploaded(),
  m: () => viewer.nextMatch(),
  i: () => article.querySelector("[data-cluster]")?.click(),
  t: takeOver,
  q: () => location.assign(queueAddress(page.dataset.queue, query)),
  g: () => location.assign(page.dataset.grid + query),
}, {
  1: digit(1), 2: digit(2), 3: digit(3), 4: digit(4),
  n: () => note.focus(),
  a: () => { if (dialog.dataset.verb === "dismiss") allow.click(); },
});

page.querySelector("[data-to-queue]").href = queueAddress(page.dataset.queue, query);
page.querySelector("[data-undo-last]").addEventListener("click", undoLast);
addEventListener("popstate", () => location.reload());
addEventListener("pagehide", () => {
  const form = new FormData();
  form.append("csrfmiddlewaretoken", page.querySelector("[name=csrfmiddlewaretoken]").value);
  if (article.dataset.open === "1") navigator.sendBeacon(article.dataset.release, form);
});
setInterval(() => { if (!document.hidden) renew(); }, RENEW);
begin();
article.querySelector("h2").focus({ preventScroll: true });

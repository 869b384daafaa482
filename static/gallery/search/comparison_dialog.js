/** The dialog that shows the query and one match side by side, as the service draws them. */

import { byId, make } from "./dom.js";
import { fill } from "./format.js";

const NOT_DRAWN =
  gettext("It cannot be drawn: one of the pictures is no longer stored, or is blurred for you.");
const dialog = byId("comparison");
let running = new AbortController();

dialog.addEventListener("close", () => {
  running.abort();
  byId("comparison-picture").replaceChildren();
});
byId("comparison-close").addEventListener("click", () => dialog.close());

/** Open for the picture `id`; `ask(signal)` gets a link to the drawing, or null. */
export async function compare({ id, words, ask }) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  byId("comparison-title").textContent = fill(gettext("Your picture and #%(id)s"), { id });
  byId("comparison-words").textContent = words;
  byId("comparison-picture").replaceChildren();
  say(gettext("Drawing…"));
  dialog.showModal();
  try {
    const source = await ask(signal);
    if (!source) throw new Error(NOT_DRAWN);
    const alt = fill(gettext("Left, the picture you search with; right, picture %(id)s. %(words)s"), { id, words });
    const picture = make("img", { alt });
    picture.src = source;
    await picture.decode();
    if (signal.aborted) return;
    byId("comparison-picture").replaceChildren(picture);
    say("");
  } catch (error) {
    if (!signal.aborted) say(error.message);
  }
}

function say(text) {
  byId("comparison-state").textContent = text;
}

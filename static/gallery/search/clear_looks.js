/** Blurred media: shown clearly when a person asks for it, which the server counts. */

import { button } from "./dom.js";
import { fill } from "./format.js";

const TITLE = gettext("Each look is counted.");
const REFUSED = gettext("It cannot be shown clearly.");
const shown = new Set(); // what blurs each thing that is clear now
let looks = 0;

// What is kept for "back" is the page as it is now.
addEventListener("pagehide", () => {
  for (const blur of shown) blur();
});

/** Remember what to do when the page is left; returns what forgets it. */
export function whenLeft(blur) {
  shown.add(blur);
  return () => shown.delete(blur);
}

/** A button that shows a blurred picture clearly, and blurs it again. */
export function clearButton(img, name) {
  const node = button(gettext("Show clearly"), () => (isClear() ? blur() : show()), "button small");
  const isClear = () => node.getAttribute("aria-pressed") === "true";
  const blurred = () => img.dataset.blurred;

  function show() {
    img.dataset.blurred = img.src;
    const address = new URL(img.src);
    address.searchParams.set("clear", "1");
    // A browser may show a picture again that a page had before; each look has its own address.
    address.searchParams.set("n", `${Date.now()}-${(looks += 1)}`);
    img.onerror = () => {
      blur();
      node.title = REFUSED;
      node.setAttribute("aria-label", REFUSED);
    };
    node.setAttribute("aria-pressed", "true");
    shown.add(blur);
    img.src = address.href;
  }

  function blur() {
    shown.delete(blur);
    node.setAttribute("aria-pressed", "false");
    img.onerror = null;
    img.style.visibility = "hidden";
    img.addEventListener("load", () => (img.style.visibility = ""), { once: true });
    img.src = blurred();
  }

  node.classList.add("show-clearly");
  node.setAttribute("aria-pressed", "false");
  node.setAttribute("aria-label", fill(gettext("Show clearly: %(name)s"), { name }));
  node.title = TITLE;
  return node;
}

/** Note a look at a video's file; answers where it can be played, in as many parts as one likes. */
export async function lookAt(file) {
  const address = new URL(file);
  address.searchParams.set("clear", "1");
  const noted = await fetch(address, { headers: { Range: "bytes=0-0" } });
  noted.body?.cancel();
  if (!noted.ok) throw new Error(REFUSED);
  return noted.url;
}

/** Why a picture was found, on its card: edits in words, the shared region, comparison, distances. */

import { fromTemplate, make } from "./dom.js";
import { agreement, distancesOf, sentenceOf, summaryOf } from "./edit_texts.js";
import { fill } from "./format.js";
import * as overlay from "./shared_region.js";

const DRAWN = 10; // so many of the first matches the service draws

/** Add it to the card of the `rank`th match; `onCompare(words)` asks for the drawing. */
export function explain({ node: card, slot: cardSlot }, match, { rank, isLikely, onCompare }) {
  const { geometry, methods, image } = match;
  const { node, slot } = fromTemplate("explanation");
  slot("edits").append(...summaryOf(match, isLikely).map((text) => make("li", {}, text)));
  slot("distances").append(
    ...distancesOf(methods).map(([name, distance]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, distance)),
    ),
  );
  if (geometry) {
    slot("places").textContent = agreement(geometry);
    slot("where").setAttribute("aria-label", fill(gettext("Show where, picture %(id)s"), image));
    slot("compare").setAttribute("aria-label", fill(gettext("Side by side, picture %(id)s"), image));
    slot("compare").hidden = rank >= DRAWN || image.blurred;
    slot("compare").addEventListener("click", () => onCompare(sentenceOf(geometry)));
    showWhere(card, { image: cardSlot("thumbnail"), geometry, toggle: slot("where") });
  } else {
    slot("places").remove();
    slot("actions").remove();
  }
  cardSlot("remark").after(node);
}

/** While the pointer or the focus is on the card, or for as long as the toggle is pressed. */
function showWhere(card, match) {
  card.addEventListener("mouseenter", () => overlay.show(match));
  card.addEventListener("mouseleave", overlay.rest);
  card.addEventListener("focusin", () => overlay.show(match));
  card.addEventListener("focusout", ({ relatedTarget }) => {
    if (!card.contains(relatedTarget)) overlay.rest();
  });
  match.toggle.addEventListener("click", () => overlay.toggle(match));
}

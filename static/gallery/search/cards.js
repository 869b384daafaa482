/** What the cards of pictures and videos share. */

import { CERTAINTY } from "./distance_texts.js";
import { announce, confirmOn, copyText, fromTemplate } from "./dom.js";
import * as format from "./format.js";

const COPY = {
  picture: gettext("Copy the md5 of picture %(id)s"),
  video: gettext("Copy the md5 of video %(id)s"),
};

/** A card with the facts of an item. `kind`: "picture" or "video". */
export function cardOf(template, item, kind) {
  const { node, slot } = fromTemplate(template);
  node.dataset.id = item.id;
  slot("id").textContent = `#${item.id}`;
  slot("remark").textContent = slot("remark").title = item.remark ?? "";
  if (item.data_id === null) slot("data-id-row").remove();
  else slot("data-id").textContent = item.data_id;
  slot("md5").textContent = item.md5 || gettext("unknown");
  slot("copy").hidden = !item.md5;
  slot("copy").setAttribute("aria-label", format.fill(COPY[kind], item));
  slot("copy").addEventListener("click", async ({ currentTarget }) => {
    await copyText(item.md5);
    confirmOn(currentTarget, "");
    announce(gettext("md5 copied"));
  });
  slot("file").textContent = format.file(item);
  return { node, slot };
}

/** How sure a match is: in percent, as a word for its band, and as a bar. */
export function showCertainty(confidence, band) {
  const { node, slot } = fromTemplate("confidence");
  slot("confidence").textContent = `${confidence < 0.005 ? "< 1" : format.percent(confidence)} %`;
  slot("band").textContent = CERTAINTY[band];
  slot("confidence").title = format.fill(gettext("Confidence %(confidence)s"), { confidence });
  slot("level").setAttribute("width", `${100 * confidence}%`);
  return node;
}

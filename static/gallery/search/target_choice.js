/** The choice between searching pictures and videos. */

import { byId } from "./dom.js";
import * as format from "./format.js";
import { isClip, isClipLink } from "./media.js";
import { PICTURES, VIDEOS } from "./state.js";

const ONLY = {
  [PICTURES]: gettext("Words are searched for in pictures."),
  [VIDEOS]: gettext("A clip is searched for in videos."),
};

/** `onChange(where)` when another one is chosen. */
export function createWhere({ onChange }) {
  const choices = [...byId("where").querySelectorAll("input")];
  byId("where").addEventListener("change", ({ target }) => onChange(target.value));
  return {
    /** How many there are of each: `{ready, pending, …}`. */
    showCounts({ images, videos }) {
      byId("where-pictures").textContent = format.count(images.ready);
      byId("where-videos").textContent = format.count(videos.ready);
    },
    /** The choice, and why there may be none. */
    show(where, only) {
      byId("query").dataset.where = where;
      for (const input of choices) {
        input.checked = input.value === where;
        input.disabled = Boolean(only) && input.value !== only;
      }
      byId("where-note").textContent = ONLY[only] ?? "";
    },
  };
}

/** The only place that can be searched for this query (with its file, if it has one), or null. */
export function onlyPlaceOf(query, file) {
  if (query?.text) return PICTURES;
  const moves = file ? isClip(file) : query?.url && isClipLink(query.url);
  return moves ? VIDEOS : null;
}

/** Texts of the page about videos: titles, nothing found, queries without detail. */

import { fromTemplate } from "./dom.js";
import * as format from "./format.js";
import { notice } from "./results.js";

/** The title over the videos, and how many were searched. */
export function describeVideos(results, { answer, state, videos }) {
  const number = new Set(answer.results.map(({ video }) => video.id)).size;
  const note = [`of ${format.plural(videos.ready, "video")}`, indexingText(videos.pending)];
  results.describe(titleOf(answer, number, state), note.filter(Boolean).join(" · "));
}

/** That some videos cannot be found yet; "" if there are none. */
export function indexingText(pending) {
  if (!pending) return "";
  return `${format.plural(pending, "video is", "videos are")} still being indexed`;
}

function titleOf({ low_information: isEmpty }, number, { unsure }) {
  if (isEmpty) return "Nothing to look for";
  if (!number) return "No video shows it";
  if (unsure) return `${format.plural(number, "video")}, uncertain ones too`;
  return number === 1 ? "1 video shows it" : `${number} videos show it`;
}

/**
 * Messages above the videos. `askAll` shows uncertain results too; `add` adds the query, and
 * `searchPictures` looks for it among the pictures, where that can be done.
 */
export function videoNotices({ answer, state, videos, askAll, add, searchPictures }) {
  const actions = [];
  if (searchPictures) actions.push(["Search the pictures", searchPictures]);
  if (add) actions.push(["Add this one…", add]);
  if (answer.low_information) {
    const text =
      "It is black, one flat colour or noise all over, so that it would look like many videos. Try a moment that shows more.";
    return [notice("This has almost no detail", text, actions)];
  }
  if (answer.results.length) return [];
  if (state.unsure) return [notice(null, "No video looks like it, not even uncertainly.", actions)];
  const all = ["Show uncertain matches", askAll, true];
  return [notice(null, "No video is a certain match.", [all, ...actions])];
}

/** No video yet: how to add some. */
export function noVideos(pending, choose) {
  const { node, slot } = fromTemplate("no-videos");
  slot("choose").addEventListener("click", choose);
  slot("curl").textContent = `curl -F file=@video.mp4 ${location.origin}/api/v1/videos/`;
  if (pending) slot("text").textContent = waitingText(pending);
  return node;
}

const waitingText = (pending) =>
  `${indexingText(pending)}. Videos can be found once they are indexed.`;

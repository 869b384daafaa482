/** Texts of the page about videos: titles, nothing found, queries without detail. */

import { fromTemplate } from "./dom.js";
import * as format from "./format.js";
import { notice } from "./results.js";

/** The title over the videos, and how many were searched. */
export function describeVideos(results, { answer, state, videos }) {
  const number = new Set(answer.results.map(({ video }) => video.id)).size;
  const note = [searchedText(videos.ready), indexingText(videos.pending)];
  results.describe(titleOf(answer, number, state), note.filter(Boolean).join(" · "));
}

const searchedText = (number) =>
  format.fill(ngettext("of %(n)s video", "of %(n)s videos", number), { n: format.count(number) });

/** That some videos cannot be found yet; "" if there are none. */
export function indexingText(pending) {
  if (!pending) return "";
  const text = ngettext("%(n)s video is still being indexed", "%(n)s videos are still being indexed", pending);
  return format.fill(text, { n: format.count(pending) });
}

function titleOf({ low_information: isEmpty }, number, { unsure }) {
  if (isEmpty) return gettext("Nothing to look for");
  if (!number) return gettext("No video shows it");
  const text = unsure
    ? ngettext("%(n)s video, uncertain ones too", "%(n)s videos, uncertain ones too", number)
    : ngettext("%(n)s video shows it", "%(n)s videos show it", number);
  return format.fill(text, { n: format.count(number) });
}

/**
 * Messages above the videos. `askAll` shows uncertain results too; `add` adds the query, and
 * `searchPictures` looks for it among the pictures, where that can be done.
 */
export function videoNotices({ answer, state, videos, askAll, add, searchPictures }) {
  const actions = [];
  if (searchPictures) actions.push([gettext("Search the pictures"), searchPictures]);
  if (add) actions.push([gettext("Add this one…"), add]);
  if (answer.low_information) {
    const text =
      gettext("It is black, one flat colour or noise all over, so that it would look like many videos. Try a moment that shows more.");
    return [notice(gettext("This has almost no detail"), text, actions)];
  }
  if (answer.results.length) return [];
  if (state.unsure) return [notice(null, gettext("No video looks like it, not even uncertainly."), actions)];
  const all = [gettext("Show uncertain matches"), askAll, true];
  return [notice(null, gettext("No video is a certain match."), [all, ...actions])];
}

/** No video yet: how to add some. */
export function noVideos(pending, choose) {
  const { node, slot } = fromTemplate("no-videos");
  slot("choose").addEventListener("click", choose);
  slot("curl").textContent = `curl -F file=@video.mp4 ${location.origin}/api/v1/videos/`;
  if (pending) {
    const text = ngettext(
      "%(n)s video is still being indexed. Videos can be found once they are indexed.",
      "%(n)s videos are still being indexed. Videos can be found once they are indexed.",
      pending,
    );
    slot("text").textContent = format.fill(text, { n: format.count(pending) });
  }
  return node;
}

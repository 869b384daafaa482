/** Searching videos, and showing those that are stored. */

import * as api from "./api.js";
import { foundVideos, storedVideo } from "./video_results.js";
import { describeVideos, indexingText, videoNotices } from "./video_messages.js";

/** Search with `query` ({file}, {url} or a picture's {id}); `actions` are what notices offer. */
export async function search(results, { query, state, videos, signal, ...actions }) {
  const asked = query.id ? { file: await api.imageFile(query.id, signal) } : query;
  const answer = await api.searchVideos(asked, state, signal, results.sending);
  results.showVideos("", "", foundVideos(answer, results.open), "videos");
  describeVideos(results, { answer, state, videos });
  results.sort(state.sort);
  results.notice(...videoNotices({ answer, state, videos, ...actions }));
  return answer.results.length;
}

/** Stored videos without a query; returns the cursors of their page. */
export async function showStored(results, { cursor, videos }, signal) {
  const title = cursor ? gettext("Older videos") : gettext("Newest videos");
  results.loading(title);
  const page = await api.storedVideos(cursor, signal);
  const note = [gettext("Search them with a screenshot, a GIF or a clip."), indexingText(videos.pending)];
  const entries = page.results.map((video) => storedVideo(video, results.open));
  results.showVideos(title, note.filter(Boolean).join(" "), entries, "grid");
  return page;
}

/** Searching videos, and showing the newest. */

import * as api from "./api.js";
import { foundVideos, storedVideo } from "./video_results.js";
import { describeVideos, videoNotices } from "./video_messages.js";

/** Search with `query` ({file}, {url} or a picture's {id}); `actions` are what notices offer. */
export async function search(results, { query, state, videos, signal, ...actions }) {
  const asked = query.id ? { file: await api.imageFile(query.id, signal) } : query;
  const answer = await api.searchVideos(asked, state, signal, results.sending);
  results.showVideos("", "", foundVideos(answer), "videos");
  describeVideos(results, { answer, state, videos });
  results.notice(...videoNotices({ answer, state, videos, ...actions }));
}

/** Stored videos without a query. */
export async function showNewest(results, signal) {
  results.loading("Newest videos");
  const { results: newest } = await api.newestVideos(signal);
  const note = "Search them with a screenshot, a GIF or a clip.";
  results.showVideos("Newest videos", note, newest.map(storedVideo), "grid");
}

/** Waiting for a video to be indexed. */

import * as api from "./api.js";

const POLL_MS = 1000;

/**
 * Ask after a video until it is no longer pending; `onProgress(video)` each time. Resolves to the
 * video, or to null if it is gone.
 */
export async function watch(video, onProgress) {
  let seen = video;
  while (seen.status === "pending") {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    try {
      seen = await api.video(video.id);
    } catch (error) {
      if (isFinal(error)) return null;
      continue;
    }
    onProgress(seen);
  }
  return seen;
}

/** A service that restarts or is busy may answer the next time. */
const isFinal = ({ status }) => status >= 400 && status < 500 && status !== 429;

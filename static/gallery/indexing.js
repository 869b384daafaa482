/** Waiting for a video to be indexed. */

import * as api from "./api.js";

const POLL_MS = 1000;

/**
 * Ask after a video until it is no longer pending; `onProgress(video)` each time. Resolves to the
 * video, or to null once `signal` is aborted or the video is gone.
 */
export async function watch(video, signal, onProgress) {
  let seen = video;
  while (seen.status === "pending") {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    try {
      seen = await api.video(video.id, signal);
    } catch (error) {
      if (signal.aborted || isFinal(error)) return null;
      continue;
    }
    onProgress(seen);
  }
  return signal.aborted ? null : seen;
}

/** A service that restarts or is busy may answer the next time. */
const isFinal = ({ status }) => status >= 400 && status < 500 && status !== 429;

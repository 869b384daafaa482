/** A picture of a video that becomes the video where one presses play. */

import { make } from "./dom.js";
import { clock } from "./format.js";

const GONE = "It cannot be played. It may have been taken away since.";
const UNKNOWN = "This browser cannot play the file: a small copy plays.";

let playing = null; // one at a time

/**
 * Fill the `slot`s of a card for a `video`, to be played from `start` seconds on, or null for all
 * of it. `onTime(seconds)` while it plays. Returns `play(seconds)`, or null where nothing is stored that could be played.
 */
export function createPlayer(slot, { video, start, onTime }) {
  const note = slot("play-note");
  const button = slot("play");
  if (!video.file) {
    button.remove();
    note.textContent = "The file was not kept: it cannot be played here.";
    return null;
  }
  if (!video.kept) note.textContent = "The file was not kept: a small copy plays.";
  let element = null;

  const play = (seconds) => {
    element ??= open();
    if (playing !== element) playing?.pause();
    playing = element;
    seek(element, seconds);
    element.focus();
    // A refusal is told by the element's error.
    element.play().catch(() => {});
  };

  const open = () => {
    const opened = make("video", { controls: true, muted: true, playsInline: true, src: video.file });
    opened.setAttribute("aria-label", `Video ${video.id}`);
    opened.addEventListener("timeupdate", () => onTime?.(opened.currentTime));
    opened.addEventListener("error", () => {
      if (opened.src.endsWith("?small=1") || !video.kept) {
        note.textContent = GONE;
        return;
      }
      const at = opened.dataset.start;
      note.textContent = UNKNOWN;
      opened.src = `${video.file}?small=1`;
      seek(opened, at);
      opened.play().catch(() => {});
    });
    slot("player").replaceChildren(opened);
    return opened;
  };

  slot("play-from").textContent = start === null ? clock(video.duration) : clock(start, 1);
  const from = start === null ? "" : ` from ${clock(start, 1)}`;
  button.setAttribute("aria-label", `Play video ${video.id}${from}`);
  button.addEventListener("click", () => play(start ?? 0));
  return play;
}

/** Now, or once it is known how long the video is. */
function seek(element, seconds) {
  element.dataset.start = seconds;
  const go = () => (element.currentTime = Number(element.dataset.start));
  if (element.readyState >= HTMLMediaElement.HAVE_METADATA) go();
  else element.addEventListener("loadedmetadata", go, { once: true });
}

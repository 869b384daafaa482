/** A picture of a video that is replaced by the video when play is pressed. */

import { make } from "./dom.js";
import { clock, fill } from "./format.js";
import { lookAt, whenLeft } from "./clear_looks.js";

const GONE = gettext("It cannot be played. It may have been taken away since.");
const UNKNOWN = gettext("This browser cannot play the file: a small copy plays.");

const BLURRED = gettext("It is held or in doubt: moderators alone see it clearly.");

let playing = null; // one at a time

/**
 * Fill the `slot`s of a card for a `video`, to be played from `start` seconds on, or null for all
 * of it. `onTime(seconds)` while it plays. Returns null where nothing is stored that could be played, else
 * {play(seconds), loop({start, end, onEnd}), endLoop()}; playing anything else ends a loop, too.
 */
export function createPlayer(slot, { video, start, onTime }) {
  const note = slot("play-note");
  const button = slot("play");
  const place = slot("player");
  const clear = slot("clear");
  if (!video.file || (video.blurred && !video.clearable)) {
    button.remove();
    note.textContent = video.file ? BLURRED : gettext("The file was not kept: it cannot be played here.");
    return null;
  }
  if (!video.kept) note.textContent = gettext("The file was not kept: a small copy plays.");
  let opening = null;
  let looped = null;

  const endLoop = () => {
    looped?.onEnd();
    looped = null;
  };

  const play = (seconds) => {
    endLoop();
    return playFrom(seconds);
  };

  const loop = (range) => {
    endLoop();
    looped = range;
    return playFrom(range.start);
  };

  const playFrom = async (seconds) => {
    opening ??= open();
    let element;
    try {
      element = await opening;
    } catch (error) {
      opening = null;
      note.textContent = error.message;
      return;
    }
    if (playing !== element) playing?.pause();
    playing = element;
    seek(element, seconds);
    element.focus();
    // The element's error event reports a refusal.
    element.play().catch(() => {});
  };

  const open = async () => {
    const src = video.blurred ? await lookAt(video.file) : video.file;
    const opened = make("video", { controls: true, muted: true, playsInline: true, src });
    opened.setAttribute("aria-label", fill(gettext("Video %(id)s"), video));
    opened.addEventListener("timeupdate", () => {
      onTime?.(opened.currentTime);
      if (looped && opened.currentTime >= looped.end) opened.currentTime = looped.start;
    });
    // The range may end with the video.
    opened.addEventListener("ended", () => looped && playFrom(looped.start));
    opened.addEventListener("error", () => tryCopy(opened));
    if (video.blurred) closeWhenLeft(opened);
    place.replaceChildren(opened);
    return opened;
  };

  const tryCopy = (opened) => {
    const address = new URL(opened.src);
    if (address.searchParams.has("small") || !video.kept) {
      note.textContent = GONE;
      return;
    }
    address.searchParams.set("small", "1");
    const at = opened.dataset.start;
    note.textContent = UNKNOWN;
    opened.src = address.href;
    seek(opened, at);
    opened.play().catch(() => {});
  };

  /** Where it was blurred, it is again when the page is left. */
  const closeWhenLeft = (opened) => {
    if (clear?.getAttribute("aria-pressed") === "true") clear.click();
    if (clear) clear.hidden = true;
    const before = [...place.childNodes];
    const forget = whenLeft(() => {
      forget();
      endLoop();
      opening = null;
      opened.pause();
      place.replaceChildren(...before);
      if (clear) clear.hidden = false;
    });
  };

  if (video.blurred) {
    slot("play-from").textContent = gettext("Play clearly");
    button.title = gettext("Each look is counted.");
  } else {
    slot("play-from").textContent = start === null ? clock(video.duration) : clock(start, 1);
  }
  button.setAttribute("aria-label", fill(playText(video, start), { id: video.id, time: clock(start ?? 0, 1) }));
  button.addEventListener("click", () => play(start ?? 0));
  return { play, loop, endLoop };
}

function playText({ blurred }, start) {
  if (start === null) return blurred ? gettext("Play clearly: video %(id)s") : gettext("Play video %(id)s");
  return blurred
    ? gettext("Play clearly: video %(id)s from %(time)s")
    : gettext("Play video %(id)s from %(time)s");
}

/** Now, or once it is known how long the video is. */
function seek(element, seconds) {
  element.dataset.start = seconds;
  const go = () => (element.currentTime = Number(element.dataset.start));
  if (element.readyState >= HTMLMediaElement.HAVE_METADATA) go();
  else element.addEventListener("loadedmetadata", go, { once: true });
}

/** A video that is pointed at moves: its small copy, in the range that was found, without sound. */

import { make } from "./dom.js";

const WAIT_MS = 300; // a pointer that only passes by starts nothing

/** Over the picture of `video` in `place`, from `start` to `end` seconds, again and again. */
export function moveWhenPointedAt(place, { video, start, end }) {
  if (!video.file || video.blurred) return;
  let waiting = 0;
  let moving = null;

  const stop = () => {
    clearTimeout(waiting);
    moving?.remove();
    moving = null;
  };

  const begin = () => {
    if (place.querySelector("video")) return;
    const address = new URL(video.file);
    address.searchParams.set("small", "1");
    moving = make("video", { className: "moving", muted: true, playsInline: true, loop: true });
    moving.setAttribute("aria-hidden", "true");
    moving.tabIndex = -1;
    moving.addEventListener("loadedmetadata", ({ target }) => (target.currentTime = start));
    moving.addEventListener("playing", ({ target }) => target.classList.add("is-playing"));
    moving.addEventListener("timeupdate", ({ target }) => {
      if (target.currentTime >= end) target.currentTime = start;
    });
    moving.addEventListener("error", stop);
    moving.src = address.href;
    place.querySelector("img")?.after(moving);
    moving.play().catch(() => {});
  };

  place.addEventListener("pointerenter", ({ pointerType }) => {
    if (pointerType !== "mouse" || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    waiting = setTimeout(begin, WAIT_MS);
  });
  place.addEventListener("pointerleave", stop);
  // The player takes its place.
  place.addEventListener("click", stop);
}

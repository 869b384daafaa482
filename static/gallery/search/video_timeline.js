/** A bar for a whole video, with the parts that show the query marked. */

import { drawn, fromTemplate } from "./dom.js";
import { clock, fill } from "./format.js";

const LEAST = 0.8; // per cent of the bar: a moment must be seen

/**
 * `ranges` are what was found and `places` what looks as much like the query, each {start, end} in
 * seconds. Returns the node, and `at(seconds)`, which moves the mark of what is being played.
 */
export function timeline({ duration, ranges, places }) {
  const { node, slot } = fromTemplate("timeline");
  const bar = slot("bar");
  bar.append(...places.map((place) => mark("place", place, duration)));
  bar.append(...ranges.map((range) => mark("range", range, duration)));
  bar.setAttribute("aria-label", inWords({ duration, ranges, places }));
  slot("end").textContent = clock(duration);
  const head = drawn("line", { class: "playhead", y1: "-3", y2: "19", visibility: "hidden" });
  bar.append(head);
  return {
    node,
    at(seconds) {
      const x = `${(100 * Math.min(seconds, duration)) / duration}%`;
      for (const [name, value] of [["x1", x], ["x2", x], ["visibility", "visible"]]) {
        head.setAttribute(name, value);
      }
    },
  };
}

/** 0:04.2 – 0:09.1, or one time where both are read alike. */
export function rangeText({ start, end }, joint = " – ") {
  const [from, to] = [clock(start, 1), clock(end, 1)];
  return from === to ? from : `${from}${joint}${to}`;
}

function mark(name, { start, end }, duration) {
  const percent = (seconds) => (100 * Math.min(seconds, duration)) / duration;
  const width = Math.max(LEAST, percent(end) - percent(start));
  const x = Math.min(percent(start), 100 - width);
  return drawn("rect", { class: name, x: `${x}%`, width: `${width}%`, height: "100%", rx: "2" });
}

function inWords({ duration, ranges, places }) {
  const list = (parts) => parts.map((part) => rangeText(part, gettext(" to "))).join(gettext(", "));
  const values = { ranges: list(ranges), length: clock(duration, 1), places: list(places) };
  const text = places.length
    ? gettext("Found at %(ranges)s of %(length)s; also %(places)s")
    : gettext("Found at %(ranges)s of %(length)s");
  return fill(text, values);
}

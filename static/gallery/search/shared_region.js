/** The region that the query and a stored picture share, drawn over both. */

import { byId, drawn } from "./dom.js";

let shown = []; // the drawings of the match that is shown now
let pinned = null; // the match that stays shown: {image, geometry, toggle}

/** Draw a match over its thumbnail and over the query's preview. */
export function show({ image, geometry }) {
  clear();
  cover(image, geometry.candidate_region);
  const query = byId("preview-picture").querySelector("img");
  if (query) cover(query, geometry.query_region);
}

/** Draw the outline of a region over a picture, for good. */
export function outline(image, region) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const d = outlineOf(region, width, height);
  const drawing = drawn("svg", {
    class: "still",
    viewBox: `0 0 ${width} ${height}`,
    "aria-hidden": "true",
    focusable: "false",
  });
  drawing.append(drawn("path", { class: "outline-back", d }), drawn("path", { class: "outline", d }));
  image.after(drawing);
}

const outlineOf = (region, width, height) =>
  `M${region.map(([x, y]) => `${x * width} ${y * height}`).join("L")}Z`;

/** Draw the pinned region, or nothing. A region that is no longer visible is unpinned. */
export function rest() {
  if (!pinned?.image.checkVisibility()) unpin();
  if (pinned) show(pinned);
  else clear();
}

/** Keep a match shown, or stop that. */
export function toggle(match) {
  const wasPinned = pinned?.image === match.image;
  unpin();
  if (!wasPinned) pinned = match;
  match.toggle.setAttribute("aria-pressed", String(!wasPinned));
  if (wasPinned) clear();
  else show(match);
}

/** Forget all: other pictures are shown now. */
export function reset() {
  unpin();
  clear();
}

function unpin() {
  pinned?.toggle.setAttribute("aria-pressed", "false");
  pinned = null;
}

function clear() {
  for (const drawing of shown) drawing.remove();
  shown = [];
}

/** Dim `image` but for the region, whose points are shares of its width and height. */
function cover(image, region) {
  const drawing = drawn("svg", { class: "overlay", "aria-hidden": "true", focusable: "false" });
  shown.push(drawing);
  image.after(drawing);
  const draw = () => {
    const { naturalWidth: width, naturalHeight: height } = image;
    const edge = outlineOf(region, width, height);
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.replaceChildren(
      drawn("path", { class: "outside", d: `M0 0H${width}V${height}H0Z${edge}` }),
      drawn("path", { class: "outline-back", d: edge }),
      drawn("path", { class: "outline", d: edge }),
    );
  };
  if (image.naturalWidth) draw();
  else image.addEventListener("load", draw, { once: true });
}

/** One or few matches, large: the query, the picture found and their difference on one card. */

import { fitted, inPixels } from "../../affine.js";
import { fromTemplate, make } from "./dom.js";
import { fill } from "./format.js";
import { outline } from "./shared_region.js";

export const FEW = 3; // so many matches are shown large

const LONGEST = 900; // pixels of a difference
const HARDLY_ANY = 0.02; // of the pixels: edges that are resampled differ, too
const VISIBLE = 96; // sum of the differences of red, green and blue, each 0 to 255
const LARGEST = 10e6; // bytes of an original that is loaded for it
const IN_BROWSERS = ["jpeg", "png", "gif", "webp", "avif", "bmp"];
const WHOLE = [[0, 0], [1, 0], [1, 1], [0, 1]];

/**
 * What a card needs to be shown large. `querySource`: where the browser has the query, or null.
 * `isLikely`: without a geometry they are compared as they are.
 * Returns a function that fills the panels, once; or null where nothing can be put beside it.
 */
export function largeView({ slot }, match, { querySource, isLikely }) {
  const { image, geometry } = match;
  if (!image.thumbnail || image.blurred || !querySource) return null;
  const region = geometry ?? (isLikely ? { query_region: WHOLE, candidate_region: WHOLE } : null);
  let isFilled = false;
  return () => {
    if (isFilled) return;
    isFilled = true;
    const found = slot("thumbnail");
    slot("original").append(make("span", { className: "panel-caption" }, fill(gettext("Found: #%(id)s"), image)));
    const own = make("img", { alt: gettext("The picture you search with"), draggable: false });
    const ownPanel = panel(gettext("Your picture"), own);
    slot("original").before(ownPanel);
    own.addEventListener("error", () => ownPanel.remove(), { once: true });
    own.src = querySource;
    if (!region) return;
    const canvas = make("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", gettext("Difference: bright where the two pictures differ"));
    const difference = panel("", canvas);
    slot("original").after(difference);
    const caption = difference.querySelector("figcaption");
    const draw = () => (caption.textContent = drawDifference(canvas, { found, own, region }));
    found.addEventListener("load", draw);
    showOriginal(found, image);
    Promise.all([own.decode(), found.decode()])
      .then(() => {
        outline(own, region.query_region);
        outline(found, region.candidate_region);
        draw();
      })
      .catch(() => difference.remove());
  };
}

/** The original is sharper than the small copy, where browsers can show it. */
function showOriginal(found, image) {
  if (!image.kept || image.bytes > LARGEST || !IN_BROWSERS.includes(image.format)) return;
  const small = found.src;
  found.addEventListener("error", () => (found.src = small), { once: true });
  found.loading = "eager";
  found.src = image.file;
}

function panel(caption, content) {
  const { node, slot } = fromTemplate("panel");
  slot("content").replaceWith(content);
  slot("caption").textContent = caption;
  return node;
}

/**
 * What differs in the shared region, the query laid over the picture found, shines on a dim copy of
 * that picture. Returns the caption.
 */
function drawDifference(canvas, { found, own, region }) {
  if (!found.naturalWidth || !own.naturalWidth) return "";
  const scale = Math.min(1, LONGEST / Math.max(found.naturalWidth, found.naturalHeight));
  const width = Math.max(1, Math.round(found.naturalWidth * scale));
  const height = Math.max(1, Math.round(found.naturalHeight * scale));
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const to = inPixels(region.candidate_region, canvas);
  const from = inPixels(region.query_region, { width: own.naturalWidth, height: own.naturalHeight });
  const map = fitted(from, to);
  if (!map) return "";
  context.fillRect(0, 0, width, height);
  context.save();
  context.beginPath();
  for (const [x, y] of to) context.lineTo(x, y);
  context.clip();
  context.drawImage(found, 0, 0, width, height);
  context.globalCompositeOperation = "difference";
  context.setTransform(...map);
  context.drawImage(own, 0, 0);
  context.restore();
  const share = shareThatDiffers(context, to);
  context.globalCompositeOperation = "copy";
  context.filter = "grayscale(1) brightness(2)";
  context.drawImage(canvas, 0, 0);
  context.filter = "none";
  context.globalCompositeOperation = "multiply";
  context.fillStyle = "#ffd84d";
  context.fillRect(0, 0, width, height);
  context.globalCompositeOperation = "lighter";
  context.globalAlpha = 0.3;
  context.filter = "grayscale(1)";
  context.drawImage(found, 0, 0, width, height);
  if (share < HARDLY_ANY) return gettext("Difference: hardly any");
  return fill(gettext("Difference, in yellow: %(share)s of what both show"), { share: `${Math.round(100 * share)} %` });
}

/** The share of the pixels within a region that are visibly different. */
function shareThatDiffers(context, corners) {
  const { width, height } = context.canvas;
  const { data } = context.getImageData(0, 0, width, height);
  let differing = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] + data[at + 1] + data[at + 2] > VISIBLE) differing += 1;
  }
  let area = 0;
  for (const [at, [x, y]] of corners.entries()) {
    const [nextX, nextY] = corners[(at + 1) % corners.length];
    area += (x * nextY - nextX * y) / 2;
  }
  return differing / Math.max(1, Math.abs(area));
}

/** How the upload lies on the item, as maps of `affine.js`. */

import { fitted, inPixels } from "../../affine.js";

const SAME_SHAPE = 0.05; // difference of two ratios of width to height, as a share
const MOST_ENLARGED = 2;

/**
 * The map from the upload's pixels to the item's, or null if it is not known. `match`: the row of
 * the item. Without regions two pictures of the same shape are taken to show the same whole.
 */
export function alignment(match, upload, item) {
  if (!match || !("aligns" in match.dataset)) return null;
  const { subjectRegion, itemRegion } = match.dataset;
  if (subjectRegion && itemRegion) {
    return fitted(inPixels(JSON.parse(subjectRegion), upload), inPixels(JSON.parse(itemRegion), item));
  }
  const ratio = (upload.width / upload.height) / (item.width / item.height);
  if (Math.abs(Math.log(ratio)) > SAME_SHAPE) return null;
  return [item.width / upload.width, 0, 0, item.height / upload.height, 0, 0];
}

/** Where both lie in a frame that shows both whole: maps from their pixels to the frame's. */
export function layout(map, upload, item, frame) {
  const corners = [...cornersOf(upload).map((point) => applied(map, point)), ...cornersOf(item)];
  const [left, top] = [0, 1].map((axis) => Math.min(...corners.map((point) => point[axis])));
  const [right, bottom] = [0, 1].map((axis) => Math.max(...corners.map((point) => point[axis])));
  const scale = Math.min(frame.width / (right - left), frame.height / (bottom - top), MOST_ENLARGED);
  const x = (frame.width - scale * (left + right)) / 2;
  const y = (frame.height - scale * (top + bottom)) / 2;
  const [a, b, c, d, e, f] = map.map((value) => scale * value);
  return { upload: [a, b, c, d, e + x, f + y], item: [scale, 0, 0, scale, x, y] };
}

const cornersOf = ({ width, height }) => [[0, 0], [width, 0], [width, height], [0, height]];

const applied = ([a, b, c, d, e, f], [x, y]) => [a * x + c * y + e, b * x + d * y + f];

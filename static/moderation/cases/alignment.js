/** How the upload lies on the item. A map is [a, b, c, d, e, f], as in CSS: x' = ax + cy + e, y' = bx + dy + f. */

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

const inPixels = (region, { width, height }) => region.map(([x, y]) => [x * width, y * height]);

const cornersOf = ({ width, height }) => [[0, 0], [width, 0], [width, height], [0, height]];

const applied = ([a, b, c, d, e, f], [x, y]) => [a * x + c * y + e, b * x + d * y + f];

/** The affine map that fits pairs of points best, by least squares; null if they lie on a line. */
function fitted(from, to) {
  const [p, q] = [middleOf(from), middleOf(to)];
  let [xx, xy, yy, xu, yu, xv, yv] = [0, 0, 0, 0, 0, 0, 0];
  from.forEach(([px, py], n) => {
    const [x, y, u, v] = [px - p[0], py - p[1], to[n][0] - q[0], to[n][1] - q[1]];
    xx += x * x; xy += x * y; yy += y * y;
    xu += x * u; yu += y * u; xv += x * v; yv += y * v;
  });
  const size = xx * yy - xy * xy;
  if (size <= 1e-6 * (xx + yy) ** 2) return null;
  const [a, c] = [(xu * yy - yu * xy) / size, (yu * xx - xu * xy) / size];
  const [b, d] = [(xv * yy - yv * xy) / size, (yv * xx - xv * xy) / size];
  return [a, b, c, d, q[0] - a * p[0] - c * p[1], q[1] - b * p[0] - d * p[1]];
}

function middleOf(points) {
  return [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
}

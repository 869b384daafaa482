/** Affine maps between two pictures. A map is [a, b, c, d, e, f], as in CSS: x' = ax + cy + e, y' = bx + dy + f. */

/** The corners of a region, given as shares of a picture's width and height, in pixels. */
export const inPixels = (region, { width, height }) => region.map(([x, y]) => [x * width, y * height]);

/** The map that fits pairs of points best, by least squares; null if the points lie on a line. */
export function fitted(from, to) {
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

/** What one of two aligned pictures shows and the other does not: details, as edges or as drawn lines. */

const UPLOAD = [213, 94, 0]; // two colours that colour-blind people can tell apart
const ITEM = [0, 114, 178];
const PALE = 0.35; // how much of the picture stays visible below
const TINT = 0.12; // of what lies outside one of them
const EDGE = 60; // least strength of a detail; most is 255
const LINE = 110;
const LESS = 2; // a detail is missing where the other has less than its half
const INSET = 3; // pixels along the edge of a picture that are not compared

/** Two `ImageData` of one size, transparent outside of their picture → a third. `drawn`: they are line drawings. */
export function difference(upload, item, drawn) {
  const { width, height } = upload;
  const reach = Math.max(2, Math.round(Math.max(width, height) / 250));
  const [one, other] = [upload, item].map((picture) => detailsOf(picture, drawn));
  const [nearOne, nearOther] = [one, other].map(({ details }) => spread(details, width, height, reach));
  const least = drawn ? LINE : EDGE;
  const made = new ImageData(width, height);
  for (let at = 0; at < width * height; at += 1) {
    const [here, there] = [one.inside[at], other.inside[at]];
    if (!here && !there) continue;
    const grey = 255 - PALE * (255 - (there ? other.grey[at] : one.grey[at]));
    const ofUpload = one.details[at] >= least && LESS * nearOther[at] < one.details[at];
    const ofItem = other.details[at] >= least && LESS * nearOne[at] < other.details[at];
    const colour = ofUpload ? UPLOAD : ITEM;
    let share = 0;
    if (ofUpload || ofItem) share = 1;
    else if (here !== there) share = TINT;
    const tint = share === 1 ? colour : (here ? UPLOAD : ITEM);
    for (let channel = 0; channel < 3; channel += 1) {
      made.data[4 * at + channel] = grey + share * (tint[channel] - grey);
    }
    made.data[4 * at + 3] = 255;
  }
  return made;
}

/** The grey values, where the picture is, and how much of a detail each pixel is: 0 to 255. */
function detailsOf({ data, width, height }, drawn) {
  const count = width * height;
  const [grey, mask] = [new Float32Array(count), new Uint8Array(count)];
  for (let at = 0; at < count; at += 1) {
    const [r, g, b, alpha] = [data[4 * at], data[4 * at + 1], data[4 * at + 2], data[4 * at + 3]];
    grey[at] = 0.299 * r + 0.587 * g + 0.114 * b;
    mask[at] = alpha === 255 ? 1 : 0;
  }
  // The least of all around: what is near the picture's edge is not inside.
  const outside = spread(mask.map((value) => 1 - value), width, height, INSET);
  const details = new Float32Array(count);
  const soft = drawn ? grey : smoothed(grey, width, height);
  for (let y = 1; y < height - 1; y += 1) {
    for (let x = 1; x < width - 1; x += 1) {
      const at = y * width + x;
      if (outside[at]) continue;
      details[at] = drawn
        ? 255 - grey[at]
        : Math.min(255, 2 * Math.hypot(soft[at + 1] - soft[at - 1], soft[at + width] - soft[at - width]));
    }
  }
  return { grey, inside: mask, details };
}

function smoothed(values, width, height) {
  const made = Float32Array.from(values);
  for (let y = 1; y < height - 1; y += 1) {
    for (let x = 1; x < width - 1; x += 1) {
      const at = y * width + x;
      let sum = 0;
      for (const row of [at - width, at, at + width]) sum += values[row - 1] + values[row] + values[row + 1];
      made[at] = sum / 9;
    }
  }
  return made;
}

/** The largest value within `reach` pixels, first along rows, then along columns. */
function spread(values, width, height, reach) {
  const rows = new Float32Array(values.length);
  const made = new Float32Array(values.length);
  for (let y = 0; y < height; y += 1) largest(values, rows, y * width, 1, width, reach);
  for (let x = 0; x < width; x += 1) largest(rows, made, x, width, height, reach);
  return made;
}

function largest(from, to, start, step, count, reach) {
  for (let n = 0; n < count; n += 1) {
    let most = 0;
    for (let k = Math.max(0, n - reach); k <= Math.min(count - 1, n + reach); k += 1) {
      const value = from[start + k * step];
      if (value > most) most = value;
    }
    to[start + n * step] = most;
  }
}

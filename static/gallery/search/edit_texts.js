/** What was done to a picture, in words, from the geometry of a match. */

import * as format from "./format.js";

const SAME_ANGLE = 1.5; // degrees
const SAME_SIZE = 1.25; // times
const CENTRED = 0.1; // difference of opposite margins, as a share of the query
const PART = 0.5; // of the query: less is a part of it, unless it is in the middle
const SMALL_PART = 0.2;

const METHODS = {
  cnn: [gettext("Learned, whole"), (distance) => distance.toFixed(3)],
  part: [gettext("Learned, a part"), (distance) => distance.toFixed(3)],
  pdq: [gettext("Perceptual hash"), bits],
  imgsmlr: [gettext("Haar wavelet"), (distance) => distance.toFixed(3)],
  clip: [gettext("Meaning"), (distance) => distance.toFixed(4)],
};

function bits(distance) {
  return format.fill(gettext("%(n)s of 256 bits"), { n: Math.round(distance) });
}

/** The edits that lead from the stored picture to the query, as short phrases. */
export function editsOf(geometry) {
  const { crop, border, candidate_area: shown } = geometry;
  return [
    ...turnOf(geometry),
    sizeOf(geometry),
    crop && format.fill(gettext("cropped: shows %(share)s of it"), { share: share(shown) }),
    border && surroundingOf(geometry),
  ].filter(Boolean);
}

/** What is said of a match, short: its edits, or what speaks for it where they mean little. */
export function summaryOf({ geometry }, isLikely) {
  if (!geometry) return [isLikely ? gettext("alike as a whole") : gettext("no place matches")];
  if (!isLikely) {
    const { inliers } = geometry;
    const text = ngettext("only %(n)s place agree", "only %(n)s places agree", inliers);
    return [format.fill(text, { n: format.count(inliers) })];
  }
  const edits = editsOf(geometry);
  return edits.length ? edits : [gettext("the whole picture")];
}

/** One sentence for those who do not see the overlay. */
export function sentenceOf(geometry) {
  const edits = editsOf(geometry);
  const agree = agreement(geometry);
  if (!edits.length) return format.fill(gettext("The whole picture, as it is. %(agree)s."), { agree });
  const list = edits.join(gettext("; "));
  return format.fill(gettext("What changed: %(edits)s. %(agree)s."), { edits: list, agree });
}

export const agreement = ({ inliers }) => 
  format.fill(ngettext("%(n)s place agree", "%(n)s places agree", inliers), { n: format.count(inliers) });

/** [name, distance] of each method that said something. */
export const distancesOf = (methods) =>
  Object.entries(methods).map(([name, distance]) => {
    const [label, write] = METHODS[name] ?? [name, String];
    return [label, write(distance)];
  });

/** First turned, then mirrored: in this order the direction is the geometry's. */
function turnOf({ mirrored, rotation }) {
  const degrees = nearAngle(Math.abs(rotation));
  if (mirrored && degrees === 180) return [gettext("flipped upside down")];
  const way =
    rotation < 0 ? gettext("rotated %(degrees)s° to the left") : gettext("rotated %(degrees)s° to the right");
  const turned = degrees === 180 ? gettext("rotated 180°") : degrees && format.fill(way, { degrees });
  return [turned, mirrored && gettext("mirrored")];
}

/** Whole degrees; a right angle where it is one but for the noise of the measurement. */
function nearAngle(degrees) {
  const right = 90 * Math.round(degrees / 90);
  return Math.abs(degrees - right) <= SAME_ANGLE ? right : Math.round(degrees);
}

/** A frame surrounds the middle; in a collage or a screenshot the picture is anywhere. */
function surroundingOf({ query_area: covered, query_box: [left, top, right, bottom] }) {
  const centred =
    Math.abs(left + right - 1) < CENTRED && Math.abs(top + bottom - 1) < CENTRED;
  const isPart = covered < SMALL_PART || (covered < PART && !centred);
  if (!isPart) return gettext("with a border around it");
  return format.fill(gettext("a part of the query: %(share)s"), { share: share(covered) });
}

function sizeOf({ scale }) {
  if (scale < 1 / SAME_SIZE) return format.fill(gettext("reduced to %(share)s"), { share: share(scale) });
  return scale > SAME_SIZE ? format.fill(gettext("enlarged to %(share)s"), { share: share(scale) }) : null;
}

const share = (number) => `${Math.max(1, Math.round(100 * number))} %`;

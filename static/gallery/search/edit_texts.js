/** What was done to a picture, in words, from the geometry of a match. */

import * as format from "./format.js";

const SAME_ANGLE = 1.5; // degrees
const SAME_SIZE = 1.25; // times
const CENTRED = 0.1; // difference of opposite margins, as a share of the query
const PART = 0.5; // of the query: less is a part of it, unless it is in the middle
const SMALL_PART = 0.2;

const METHODS = {
  cnn: ["Learned, whole", (distance) => distance.toFixed(3)],
  part: ["Learned, a part", (distance) => distance.toFixed(3)],
  pdq: ["Perceptual hash", (distance) => `${Math.round(distance)} of 256 bits`],
  imgsmlr: ["Haar wavelet", (distance) => distance.toFixed(3)],
  clip: ["Meaning", (distance) => distance.toFixed(4)],
};

/** The edits that lead from the stored picture to the query, as short phrases. */
export function editsOf(geometry) {
  const { crop, border, candidate_area: shown } = geometry;
  return [
    ...turnOf(geometry),
    sizeOf(geometry),
    crop && `cropped: shows ${share(shown)} of it`,
    border && surroundingOf(geometry),
  ].filter(Boolean);
}

/** What is said of a match, short: its edits, or what speaks for it where they mean little. */
export function summaryOf({ geometry }, isLikely) {
  if (!geometry) return [isLikely ? "alike as a whole" : "no place matches"];
  if (!isLikely) return [`only ${agreement(geometry)}`];
  const edits = editsOf(geometry);
  return edits.length ? edits : ["the whole picture"];
}

/** One sentence for those who do not see the overlay. */
export function sentenceOf(geometry) {
  const edits = editsOf(geometry);
  const changes = edits.length ? `What changed: ${edits.join("; ")}` : "The whole picture, as it is";
  return `${changes}. ${agreement(geometry)}.`;
}

export const agreement = ({ inliers }) => `${format.plural(inliers, "place")} agree`;

/** [name, distance] of each method that said something. */
export const distancesOf = (methods) =>
  Object.entries(methods).map(([name, distance]) => {
    const [label, write] = METHODS[name] ?? [name, String];
    return [label, write(distance)];
  });

/** First turned, then mirrored: in this order the direction is the geometry's. */
function turnOf({ mirrored, rotation }) {
  const degrees = nearAngle(Math.abs(rotation));
  if (mirrored && degrees === 180) return ["flipped upside down"];
  const way = rotation < 0 ? "to the left" : "to the right";
  const turned = degrees === 180 ? "rotated 180°" : degrees && `rotated ${degrees}° ${way}`;
  return [turned, mirrored && "mirrored"];
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
  return isPart ? `a part of the query: ${share(covered)}` : "with a border around it";
}

function sizeOf({ scale }) {
  if (scale < 1 / SAME_SIZE) return `reduced to ${share(scale)}`;
  return scale > SAME_SIZE ? `enlarged to ${share(scale)}` : null;
}

const share = (number) => `${Math.max(1, Math.round(100 * number))} %`;

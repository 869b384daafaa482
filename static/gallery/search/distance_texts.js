/**
 * How the distances of a match type are said to people: as distances, or as how sure it is.
 *
 * A scale has `label` (of the slider), `presetsLabel`, `step`, `measure` and `measureOf` a match, the words for its `bands`, and what
 * is said about a `threshold`, a number of pictures `within` it, the `nearest` one, and how to `widen` to it.
 */

import * as format from "./format.js";

/** The match types, each with its `scale`. */
export function withScales(matchTypes) {
  const entries = Object.entries(matchTypes).map(([name, type]) => {
    const scale = BY_CONFIDENCE.includes(name) ? certainty(type) : distances(type);
    return [name, { ...type, scale }];
  });
  return Object.fromEntries(entries);
}

/** The words for the bands of a distance, where it is 1 − confidence, and elsewhere. */
export const CERTAINTY = { strong: "sure", possible: "likely", weak: "unlikely" };
export const CLOSENESS = { strong: "strong", possible: "possible", weak: "weak" };

/** Their distance is 1 − confidence. */
const BY_CONFIDENCE = ["auto", "copy"];

/** Methods that compare whole pictures: all are at 0 where the pictures are the same. */
const WHOLE = ["imgsmlr", "pdq", "cnn"];

function distances({ max_threshold: maximum }) {
  const threshold = (value) => format.threshold(value, maximum);
  return {
    label: "Largest distance",
    measure: "Distance",
    measureOf: (match) => format.distance(match.distance, maximum),
    bands: CLOSENESS,
    presetsLabel: "Set the largest distance",
    step: format.stepOf(maximum),
    threshold,
    within: (value, number) =>
      `${number ? format.plural(number, "picture") : "Nothing"} within ${threshold(value)}`,
    none: `The gallery has none within ${threshold(maximum)}.`,
    nothing: "Nothing this close",
    nearest: (value) => `The nearest picture is at ${format.distance(value, maximum)}.`,
    widen: (value) => `Show up to ${threshold(value)}`,
    isSame: ({ distance }) => distance === 0,
  };
}

function certainty({ max_threshold: maximum }) {
  const atLeast = (value) => `${format.percent(1 - value)} %`;
  return {
    label: "At least this sure",
    measure: "How sure",
    measureOf: ({ confidence }) => `${format.percent(confidence)} %`,
    bands: CERTAINTY,
    presetsLabel: "Set how sure a match must be",
    step: 0.01,
    threshold: (value) => (value < maximum ? atLeast(value) : "0 %"),
    within(value, number) {
      if (value >= maximum) return `${format.plural(number, "picture")}, uncertain ones too`;
      const found = number ? format.plural(number, "copy", "copies") : "No copy";
      return `${found}, at least ${atLeast(value)} sure`;
    },
    none: "Nothing in the gallery looks like it.",
    nothing: "No match this certain",
    showsCertain: true,
    nearest: (value) => `The likeliest copy is ${atLeast(value)} sure.`,
    widen: (value) => `Show from ${atLeast(value)} sure`,
    isSame: ({ methods }) => WHOLE.every((name) => !(methods[name] >= 0.0005)),
  };
}

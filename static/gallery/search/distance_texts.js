/**
 * How the distances of a match type are said to people: as distances, or as how sure it is.
 *
 * A scale has `label` (of the slider), `presetsLabel`, `step`, `measure` and `measureOf` a match, the words for its `bands`, and what
 * is said about a `threshold`, a number of pictures `within` it, the `nearest` one, and how to `widen` to it.
 */

import * as format from "./format.js";

/** The API's own labels are English. */
const LABELS = {
  auto: gettext("Copies, by every method"),
  imgsmlr: gettext("Haar wavelet (imgsmlr)"),
  pdq: gettext("Perceptual hash (PDQ)"),
  copy: gettext("Copies, verified"),
  clip: gettext("Meaning (CLIP)"),
};

/** The match types, each with its `scale`. */
export function withScales(matchTypes) {
  const entries = Object.entries(matchTypes).map(([name, type]) => {
    const scale = BY_CONFIDENCE.includes(name) ? certainty(type) : distances(type);
    return [name, { ...type, label: LABELS[name] ?? type.label, scale }];
  });
  return Object.fromEntries(entries);
}

/** The words for the bands of a distance, where it is 1 − confidence, and elsewhere. */
export const CERTAINTY = { strong: gettext("sure"), possible: gettext("likely"), weak: gettext("unlikely") };
export const CLOSENESS = { strong: gettext("strong"), possible: gettext("possible"), weak: gettext("weak") };

/** Their distance is 1 − confidence. */
const BY_CONFIDENCE = ["auto", "copy"];

/** Methods that compare whole pictures: all are at 0 where the pictures are the same. */
const WHOLE = ["imgsmlr", "pdq", "cnn"];

function distances({ max_threshold: maximum }) {
  const threshold = (value) => format.threshold(value, maximum);
  return {
    label: gettext("Largest distance"),
    measure: gettext("Distance"),
    measureOf: (match) => format.distance(match.distance, maximum),
    bands: CLOSENESS,
    presetsLabel: gettext("Set the largest distance"),
    step: format.stepOf(maximum),
    threshold,
    within: (value, number) =>
      number
        ? format.fill(
            ngettext("%(n)s picture within %(threshold)s", "%(n)s pictures within %(threshold)s", number),
            { n: format.count(number), threshold: threshold(value) },
          )
        : format.fill(gettext("Nothing within %(threshold)s"), { threshold: threshold(value) }),
    none: format.fill(gettext("The gallery has none within %(threshold)s."), { threshold: threshold(maximum) }),
    nothing: gettext("Nothing this close"),
    nearest: (value) =>
      format.fill(gettext("The nearest picture is at %(distance)s."), {
        distance: format.distance(value, maximum),
      }),
    widen: (value) => format.fill(gettext("Show up to %(threshold)s"), { threshold: threshold(value) }),
    isSame: ({ distance }) => distance === 0,
  };
}

function certainty({ max_threshold: maximum }) {
  const atLeast = (value) => `${format.percent(1 - value)} %`;
  return {
    label: gettext("At least this sure"),
    measure: gettext("How sure"),
    measureOf: ({ confidence }) => `${format.percent(confidence)} %`,
    bands: CERTAINTY,
    presetsLabel: gettext("Set how sure a match must be"),
    step: 0.01,
    threshold: (value) => (value < maximum ? atLeast(value) : "0 %"),
    within(value, number) {
      const [n, share] = [format.count(number), atLeast(value)];
      if (value >= maximum) {
        const text = ngettext("%(n)s picture, uncertain ones too", "%(n)s pictures, uncertain ones too", number);
        return format.fill(text, { n });
      }
      if (!number) return format.fill(gettext("No copy, at least %(share)s sure"), { share });
      const text = ngettext(
        "%(n)s copy, at least %(share)s sure",
        "%(n)s copies, at least %(share)s sure",
        number,
      );
      return format.fill(text, { n, share });
    },
    none: gettext("Nothing in the gallery looks like it."),
    nothing: gettext("No match this certain"),
    showsCertain: true,
    nearest: (value) => format.fill(gettext("The likeliest copy is %(share)s sure."), { share: atLeast(value) }),
    widen: (value) => format.fill(gettext("Show from %(share)s sure"), { share: atLeast(value) }),
    isSame: ({ methods }) => WHOLE.every((name) => !(methods[name] >= 0.0005)),
  };
}

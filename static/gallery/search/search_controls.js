/** The options of a search: match type, largest distance, limit and data id. */

import { byId, button, drawn, fromTemplate, make, operatorNote } from "./dom.js";
import { matchTypeOff } from "./messages.js";
import { clampLimit, DEFAULT_LIMIT } from "./state.js";

const ABOUT = {
  auto: gettext("cropped, turned, mirrored, framed or re-encoded copies"),
  copy: gettext("the same, by learned features and geometry alone"),
  imgsmlr: gettext("resized or re-encoded copies"),
  pdq: gettext("near-exact copies"),
  clip: gettext("pictures of the same thing"),
};
const NEEDS_PICTURE = gettext("Needs a picture: words are searched by meaning.");

/** `onChange(fields)` asks for a new search; `onThreshold(value, done)` only filters. */
export function createControls({ onChange, onThreshold }) {
  const slider = byId("threshold");
  slider.addEventListener("input", () => onThreshold(thresholdOf(slider), false));
  slider.addEventListener("change", () => onThreshold(thresholdOf(slider), true));
  const limit = byId("limit");
  limit.addEventListener("change", () => {
    limit.value = clampLimit(Number(limit.value) || DEFAULT_LIMIT);
    onChange({ limit: Number(limit.value) });
  });
  const prefix = byId("prefix");
  prefix.addEventListener("change", () => onChange({ prefix: prefix.value }));
  for (const field of [limit, prefix]) field.addEventListener("keydown", changeOnEnter);
  const showFields = createFields({ limit, prefix });
  byId("match-types").addEventListener("change", (event) =>
    onChange({ matchType: event.target.value, threshold: null }),
  );
  foldOptionsOnPhones();
  return { showMatchTypes, showFields, showState, showThreshold, showDistances: drawStrip, onThreshold };
}

/** The slider is the stricter the further right, a threshold the smaller; it is its own inverse. */
const mirrored = (value, maximum) => Number((maximum - value).toFixed(3));
const thresholdOf = (slider) => mirrored(Number(slider.value), Number(slider.max));

/** Sets only the fields whose values change, so that typed text is not lost. */
function createFields(fields) {
  const shown = {};
  return (state) => {
    for (const [name, field] of Object.entries(fields)) {
      if (shown[name] !== state[name]) field.value = shown[name] = state[name];
    }
  };
}

/** Enter in these fields means "this value", not "search for the words above". */
function changeOnEnter(event) {
  if (event.key !== "Enter") return;
  event.preventDefault();
  event.target.dispatchEvent(new Event("change"));
}

function foldOptionsOnPhones() {
  const wide = matchMedia("(min-width: 60rem)");
  const fold = () => (byId("options").open = wide.matches);
  wide.addEventListener("change", fold);
  fold();
}

/** One radio button each; unavailable types stay visible and say why. */
function showMatchTypes(matchTypes) {
  const rows = Object.entries(matchTypes).map(([name, { label, available, why }]) => {
    const { node, slot } = fromTemplate("match-type");
    const input = node.querySelector("input");
    input.id = `match-type-${name}`;
    input.value = name;
    input.dataset.why = available ? "" : matchTypeOff(name);
    slot("label").htmlFor = input.id;
    slot("label").textContent = label ?? name;
    slot("about").id = `${input.id}-about`;
    slot("about").dataset.about = ABOUT[name] ?? "";
    input.setAttribute("aria-describedby", slot("about").id);
    if (!available) node.append(operatorNote(why));
    return node;
  });
  byId("match-types").replaceChildren(...rows);
}

/** Show how is searched. `matchTypes[matchType]` gives the slider its ends. */
function showState({ query, matchType }, matchTypes) {
  for (const node of byId("match-types").children) {
    const input = node.querySelector("input");
    const about = node.querySelector("[data-about]");
    const why = input.dataset.why || (query?.text && input.value !== "clip" ? NEEDS_PICTURE : "");
    input.checked = input.value === matchType;
    input.disabled = Boolean(why);
    about.textContent = why || about.dataset.about;
    node.classList.toggle("unavailable", Boolean(why));
  }
  const { label, scale, max_threshold: maximum, precise, recall } = matchTypes[matchType];
  byId("options-summary").textContent = `${label ?? matchType}`;
  const slider = byId("threshold");
  slider.max = maximum;
  slider.step = scale.step;
  byId("threshold-label").textContent = scale.label;
  byId("presets").setAttribute("aria-label", scale.presetsLabel);
  showLegend(scale.bands);
  const presets = [[gettext("All"), maximum], [gettext("Recall"), recall], [gettext("Precise"), precise]];
  byId("presets").replaceChildren(
    ...presets.map(([name, value]) => {
      const label = `${name} ${scale.threshold(value)}`;
      const set = () => {
        slider.value = mirrored(value, maximum);
        slider.dispatchEvent(new Event("change"));
      };
      return Object.assign(button(label, set, "preset"), { value });
    }),
  );
}

/** Show the chosen distance; `summary` is what a screen reader hears after the number. */
function showThreshold(value, scale, summary) {
  const text = scale.threshold(value);
  const slider = byId("threshold");
  slider.value = mirrored(value, Number(slider.max));
  slider.setAttribute("aria-valuetext", summary ? `${text}, ${summary}` : text);
  byId("threshold-value").textContent = text;
  for (const preset of byId("presets").children) {
    preset.setAttribute("aria-pressed", String(Number(preset.value) === value));
  }
  for (const mark of byId("strip").querySelectorAll("line")) {
    mark.classList.toggle("beyond", Number(mark.dataset.distance) > value);
  }
}

/** What the parts of the strip mean, in their order on it. */
function showLegend({ weak, possible, strong }) {
  const part = (name, text) => make("li", { className: name }, text);
  byId("legend").replaceChildren(
    part("far", weak),
    part("recall", possible),
    part("precise", strong),
    part("mark", gettext("a picture found")),
  );
}

/** A line for each result's distance above the slider, over the ranges of the legend. */
function drawStrip(distances, { precise, recall, max_threshold: maximum }) {
  const percent = (value) => `${100 - (100 * Math.min(value, maximum)) / maximum}%`;
  const zone = (name, from, to) =>
    drawn("rect", {
      class: name,
      x: percent(to),
      width: `${(100 * (to - from)) / maximum}%`,
      height: "100%",
    });
  const lines = distances.map((distance) =>
    drawn("line", {
      x1: percent(distance),
      x2: percent(distance),
      y1: "0",
      y2: "100%",
      "data-distance": distance,
    }),
  );
  const zones = [zone("precise", 0, precise), zone("recall", precise, recall), zone("far", recall, maximum)];
  byId("strip").replaceChildren(...zones, ...lines);
}

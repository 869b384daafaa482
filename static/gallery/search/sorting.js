/** In which order results are shown. An item has `{distance, change, item}`; small comes first. */

import { byId, make } from "./dom.js";

export const DEFAULT_ORDER = "sureness";

const ORDERS = {
  sureness: [gettext("Sureness"), ({ distance }) => distance],
  changed: [gettext("Most changed"), ({ change }) => -change],
  size: [gettext("Size, largest first"), ({ item }) => -item.width * item.height],
  newest: [gettext("Age, newest first"), ({ item }) => -Date.parse(item.created_at)],
  oldest: [gettext("Age, oldest first"), ({ item }) => Date.parse(item.created_at)],
};

/** Of pictures as a whole: what the most general method says that knows about both. */
export const changeOf = ({ methods, distance }) =>
  methods.cnn ?? (methods.pdq === undefined ? distance : methods.pdq / 256);

/** `onChange(name)` when another order is chosen. */
export function createSorting({ onChange }) {
  const field = byId("sort");
  field.append(...Object.entries(ORDERS).map(([value, [label]]) => make("option", { value }, label)));
  field.addEventListener("change", () => onChange(field.value));
  return {
    /** `isOfPictures`: what has changed is known of pictures alone. */
    show(name, isOfPictures) {
      for (const option of field.options) option.hidden = option.value === "changed" && !isOfPictures;
      field.value = ORDERS[name] ? name : DEFAULT_ORDER;
    },
  };
}

/** A sorted copy; what is equal stays in its order. */
export function sorted(entries, name) {
  const [, keyOf] = ORDERS[name] ?? ORDERS[DEFAULT_ORDER];
  return entries.toSorted((one, other) => keyOf(one) - keyOf(other));
}

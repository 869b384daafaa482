/** Small helpers around the document. Data becomes text, never markup. */

export const byId = (id) => document.getElementById(id);

/** A copy of a <template>, and a function that finds its parts by data-slot. */
export function fromTemplate(id) {
  const node = byId(`${id}-template`).content.firstElementChild.cloneNode(true);
  const slot = (name) => node.querySelector(`[data-slot="${name}"]`);
  return { node, slot };
}

/** An element with properties and children; children that are strings become text. */
export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

export function button(label, onClick, className = "button") {
  const node = make("button", { type: "button", className }, label);
  node.addEventListener("click", onClick);
  return node;
}

/** An SVG element with attributes. */
export function drawn(tag, attributes = {}) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** One of the page's own icons. */
export function icon(name) {
  const svg = drawn("svg", { class: "icon", "aria-hidden": "true" });
  svg.append(drawn("use", { href: `#icon-${name}` }));
  return svg;
}

/** The text as an http(s) URL, or null: other schemes could run code when followed. */
export function webUrl(text) {
  try {
    const url = new URL(text);
    return ["http:", "https:"].includes(url.protocol) ? url : null;
  } catch {
    return null;
  }
}

const BARE_LINK = /^(?:\/\/)?((?:[\p{L}\p{N}-]+\.)+[\p{L}\p{N}-]+|localhost)(:\d+)?\/\S*$/u;
const MACHINE = /^(localhost|[\d.]+)$/;

/**
 * The link that a person means, or null. Without http:// it is one if a host and a path can be
 * told; machines that have no name on the web, and ports, rarely speak https.
 */
export function linkOf(text) {
  if (webUrl(text)) return text;
  const [, host, port] = BARE_LINK.exec(text) ?? [];
  if (!host) return null;
  const scheme = MACHINE.test(host) || port ? "http:" : "https:";
  const link = `${scheme}//${text.replace(/^\/\//, "")}`;
  return webUrl(link) && link;
}

/** What only the operator of the service can use, folded away; nothing if there is nothing. */
export function operatorNote(text) {
  if (!text) return "";
  const summary = make("summary", {}, gettext("For the operator"));
  return make("details", { className: "operator" }, summary, make("p", {}, text));
}

/** Copy text. The clipboard API is missing on plain http, so there is a second way. */
export async function copyText(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = make("textarea", { value: text, className: "sr-only" });
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  focused?.focus();
}

/** Show that a button did its work, for a moment. It stays enabled, so that it keeps the focus. */
export function confirmOn(node, label) {
  if (node.dataset.confirming) return;
  const before = [...node.childNodes];
  node.dataset.confirming = "yes";
  node.replaceChildren(icon("check"), label);
  setTimeout(() => {
    node.replaceChildren(...before);
    delete node.dataset.confirming;
  }, 1500);
}

let announcing;

/** Tell screen readers; a burst of messages (a slider being dragged) becomes its last one. */
export function announce(text) {
  clearTimeout(announcing);
  announcing = setTimeout(() => (byId("announcer").textContent = text), 250);
}

/** The right-hand side: pictures found, or a text if there are none. */

import { cardOf, showCertainty } from "./cards.js";
import { CLOSENESS } from "./distance_texts.js";
import { announce, button, byId, fromTemplate, make, operatorNote, webUrl } from "./dom.js";
import { explain } from "./explanation.js";
import * as format from "./format.js";
import { clearButton } from "./clear_looks.js";
import { FEW, largeView } from "./large_view.js";
import { canOpen } from "./lightbox.js";
import { querySource } from "./query_preview.js";
import * as overlay from "./shared_region.js";
import { changeOf, sorted } from "./sorting.js";

const SKELETONS = 8;

/**
 * `onSearchWith(id)`, `onCompare(match, rank, words)` and `onOpen(items, index)` are called by the
 * cards.
 */
export function createResults({ onSearchWith, onCompare, onOpen }) {
  const grid = byId("grid");
  const notices = byId("notices");
  const after = byId("after");
  const more = byId("more");
  let cards = []; // {node, item, …} in the order shown

  const isShown = ({ node }) => !node.hidden;
  const open = (item) => {
    const items = cards.filter(isShown).map((card) => card.item).filter(canOpen);
    onOpen(items, items.indexOf(item));
  };

  function show(title, note, nodes = [], layout = "grid") {
    byId("results-title").textContent = title;
    byId("results-note").textContent = note;
    byId("results").removeAttribute("aria-busy");
    for (const place of [notices, after, more]) place.replaceChildren();
    byId("tools").hidden = true;
    overlay.reset();
    grid.className = layout;
    grid.replaceChildren(...nodes);
  }

  return {
    /** Show one of the items large. */
    open,

    /** How much of the query is sent, 0..1. */
    sending(share) {
      const isSent = share >= 1;
      const sent = format.fill(gettext("Sending… %(share)s"), { share: `${Math.floor(100 * share)} %` });
      byId("results-title").textContent = isSent ? gettext("Searching…") : sent;
      if (isSent) notices.replaceChildren();
      else notices.replaceChildren(make("progress", { value: share, ariaLabel: gettext("Sent") }));
    },

    /** Earlier pictures stay, dimmed, until the new ones are there. */
    loading(title) {
      byId("results-title").textContent = title;
      byId("results-note").textContent = "";
      byId("results").setAttribute("aria-busy", "true");
      for (const place of [notices, after]) place.replaceChildren();
      if (grid.children.length) return;
      grid.replaceChildren(...Array.from({ length: SKELETONS }, () => fromTemplate("skeleton").node));
    },

    /** Stored pictures without a query. */
    showStored(title, images) {
      cards = images.map((image) => ({ ...pictureCard(image, { onSearchWith, open }), item: image }));
      const nodes = cards.map(({ node }) => node);
      show(title, gettext("Search with one of these, or with a picture of your own."), nodes);
    },

    /** What a search found; `filter` then says how many of them count. */
    showMatches(matches, matchType) {
      cards = matches.map((match, rank) => {
        const card = pictureCard(match.image, { onSearchWith, open });
        showDistance(card, match, matchType);
        const isLikely = match.distance <= matchType.recall;
        if (match.confidence !== null) {
          explain(card, match, {
            rank,
            isLikely,
            onCompare: (words) => onCompare(match, rank, words),
          });
        }
        return {
          ...{ node: card.node, match, item: match.image },
          ...{ distance: match.distance, change: changeOf(match) },
          fillLarge: largeView(card, match, { querySource: querySource(), isLikely }),
        };
      });
      show("", "", cards.map(({ node }) => node));
    },

    /** Stored videos, or those that a search found; `entries` have a `node` each. */
    showVideos(title, note, entries, layout) {
      cards = entries;
      show(title, note, entries.map(({ node }) => node), layout);
    },

    /** Hide the cards beyond `threshold`; returns how many are left. A few are shown large. */
    filter(threshold) {
      for (const { node, distance } of cards) node.hidden = distance > threshold;
      const shown = cards.filter(isShown);
      const isFew = shown.length <= FEW && shown.some(({ fillLarge }) => fillLarge);
      grid.classList.toggle("few", isFew);
      if (isFew) for (const { fillLarge } of shown) fillLarge?.();
      overlay.rest();
      return shown.length;
    },

    /** In another order, see sorting.js. */
    sort(order) {
      cards = sorted(cards, order);
      grid.append(...cards.map(({ node }) => node));
      byId("tools").hidden = !cards.length;
    },

    /** What is shown of a search, as the API has sent it, in the order shown. */
    shown: () => cards.filter(isShown).flatMap(({ match, hits }) => hits ?? [match]),

    /** Ways to further results, below them. */
    more: (...nodes) => more.replaceChildren(...nodes.filter(Boolean)),

    /** The focus goes on to what was added after the first `count`. */
    focusAfter: (count) => cards[count]?.node.querySelector("a, button")?.focus(),

    describe(title, note) {
      byId("results-title").textContent = title;
      byId("results-note").textContent = note;
      announce(title);
    },

    /** Clear everything but one message. */
    showOnly(title, node) {
      cards = [];
      show(title, "");
      notices.replaceChildren(node);
      announce(title);
    },

    /** A message above the pictures. */
    notice: (...nodes) => notices.replaceChildren(...nodes.filter(Boolean)),

    /** A message below the pictures. */
    noticeAfter: (...nodes) => after.replaceChildren(...nodes.filter(Boolean)),

    focus() {
      byId("results-title").focus({ preventScroll: true });
      const narrow = !matchMedia("(min-width: 60rem)").matches;
      if (narrow) byId("results").scrollIntoView();
      else scrollTo({ top: 0 });
    },
  };
}

/**
 * A boxed message with buttons or links: `[label, onClick | address, isPrimary]`. `operator`: what
 * only the operator can do about it.
 */
export function notice(title, text, actions = [], { role = null, operator = "" } = {}) {
  const { node, slot } = fromTemplate("notice");
  if (title) slot("title").textContent = title;
  else slot("title").remove();
  slot("text").textContent = text;
  slot("text").after(operatorNote(operator));
  for (const [label, action, isPrimary] of actions) {
    const className = isPrimary ? "button primary" : "button";
    const isLink = typeof action === "string";
    slot("actions").append(
      isLink ? make("a", { href: action, className }, label) : button(label, action, className),
    );
  }
  if (!actions.length) slot("actions").remove();
  if (role) node.setAttribute("role", role);
  return node;
}

/** `open(image)` shows it large. */
function pictureCard(image, { onSearchWith, open }) {
  const { node, slot } = cardOf("card", image, "picture");
  showPicture(slot, image);
  slot("original").addEventListener("click", (event) => {
    const isPlain = !(event.ctrlKey || event.metaKey || event.shiftKey);
    if (!isPlain || !canOpen(image)) return;
    event.preventDefault();
    open(image);
  });
  showSource(slot, image);
  slot("search-with").setAttribute("aria-label", format.fill(gettext("Search with this one, picture %(id)s"), image));
  slot("search-with").addEventListener("click", () => onSearchWith(image.id));
  if (image.clearable) {
    slot("search-with").before(clearButton(slot("thumbnail"), format.fill(gettext("picture %(id)s"), image)));
  }
  return { node, slot };
}

/** The distance, or how sure it is, and how far that can be trusted. */
function showDistance({ node, slot }, { distance, confidence }, matchType) {
  const band = bandOf(distance, matchType);
  node.dataset.band = band;
  if (confidence !== null) {
    slot("id").before(showCertainty(confidence, band));
    return;
  }
  const { node: head, slot: part } = fromTemplate("distance");
  part("distance").textContent = format.distance(distance, matchType.max_threshold);
  part("distance").title = format.fill(gettext("Distance %(distance)s"), { distance });
  part("band").textContent = CLOSENESS[band];
  slot("id").before(head);
}

function showPicture(slot, image) {
  const link = slot("original");
  const name = image.remark || image.data_id || format.fill(gettext("Picture %(id)s"), image);
  slot("thumbnail").alt = image.blurred ? format.fill(gettext("%(name)s, blurred"), { name }) : name;
  if (image.thumbnail) slot("thumbnail").src = image.thumbnail;
  else {
    slot("thumbnail").hidden = true;
    link.append(make("span", { className: "no-picture" }, gettext("Its picture is not stored here.")));
  }
  if (!image.file || image.blurred) return;
  link.href = image.file;
  link.title = image.kept ? gettext("Open the original") : gettext("Open the small copy that is kept");
}

/** Where it came from. What its host shows now is neither screened, blurred nor counted. */
function showSource(slot, image) {
  const url = webUrl(image.url);
  if (!url || image.blurred) {
    slot("source-row").remove();
    return;
  }
  slot("source").textContent = url.href;
  slot("source").href = url.href;
  slot("source").title = format.fill(gettext("Its host may show something else by now: %(url)s"), { url: url.href });
}

/** How far to trust a distance: within the precise range, within the recall range, or beyond. */
function bandOf(distance, { precise, recall }) {
  if (distance <= precise) return "strong";
  return distance <= recall ? "possible" : "weak";
}

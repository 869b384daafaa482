/** The right-hand side: pictures found, or a text if there are none. */

import { cardOf, showCertainty } from "./cards.js";
import { announce, button, byId, fromTemplate, make, webUrl } from "./dom.js";
import { explain } from "./explanation.js";
import * as format from "./format.js";
import { clearButton } from "./clear_looks.js";
import * as overlay from "./shared_region.js";

const SKELETONS = 8;

/** `onSearchWith(id)` and `onCompare(match, rank, words)` are called by the cards. */
export function createResults({ onSearchWith, onCompare }) {
  const grid = byId("grid");
  const notices = byId("notices");
  let cards = [];

  function show(title, note, nodes = [], layout = "grid") {
    byId("results-title").textContent = title;
    byId("results-note").textContent = note;
    byId("results").removeAttribute("aria-busy");
    notices.replaceChildren();
    overlay.reset();
    grid.className = layout;
    grid.replaceChildren(...nodes);
  }

  return {
    /** How much of the query is sent, 0..1. */
    sending(share) {
      const isSent = share >= 1;
      byId("results-title").textContent = isSent ? "Searching…" : "Sending…";
      if (isSent) notices.replaceChildren();
      else notices.replaceChildren(make("progress", { value: share, ariaLabel: "Sent" }));
    },

    /** Earlier pictures stay, dimmed, until the new ones are there. */
    loading(title) {
      byId("results-title").textContent = title;
      byId("results-note").textContent = "";
      byId("results").setAttribute("aria-busy", "true");
      notices.replaceChildren();
      if (grid.children.length) return;
      grid.replaceChildren(...Array.from({ length: SKELETONS }, () => fromTemplate("skeleton").node));
    },

    /** Stored pictures without a query. */
    showNewest(images) {
      cards = [];
      const nodes = images.map((image) => pictureCard(image, onSearchWith).node);
      show("Newest pictures", "Search with one of these, or with a picture of your own.", nodes);
    },

    /** What a search found; `filter` then says how many of them count. */
    showMatches(matches, matchType) {
      cards = matches.map((match, rank) => {
        const card = pictureCard(match.image, onSearchWith);
        showDistance(card, match, matchType);
        if (match.confidence !== null) {
          const isLikely = match.distance <= matchType.recall;
          explain(card, match, {
            rank,
            isLikely,
            onCompare: (words) => onCompare(match, rank, words),
          });
        }
        return { distance: match.distance, node: card.node };
      });
      show("", "", cards.map(({ node }) => node));
    },

    /** Stored videos, or those that a search found. */
    showVideos(title, note, nodes, layout) {
      cards = [];
      show(title, note, nodes, layout);
    },

    /** Hide the cards beyond `threshold`; returns how many are left. */
    filter(threshold) {
      for (const { node, distance } of cards) node.hidden = distance > threshold;
      overlay.rest();
      return cards.filter(({ node }) => !node.hidden).length;
    },

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

    focus() {
      byId("results-title").focus({ preventScroll: true });
      const narrow = !matchMedia("(min-width: 60rem)").matches;
      if (narrow) byId("results").scrollIntoView();
      else scrollTo({ top: 0 });
    },
  };
}

/** A boxed message with buttons or links: `[label, onClick | address, isPrimary]`. */
export function notice(title, text, actions = [], role = null) {
  const { node, slot } = fromTemplate("notice");
  if (title) slot("title").textContent = title;
  else slot("title").remove();
  slot("text").textContent = text;
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

function pictureCard(image, onSearchWith) {
  const { node, slot } = cardOf("card", image, "picture");
  showPicture(slot, image);
  showSource(slot, image);
  slot("search-with").setAttribute("aria-label", `Search with this one, picture ${image.id}`);
  slot("search-with").addEventListener("click", () => onSearchWith(image.id));
  if (image.clearable) {
    slot("search-with").before(clearButton(slot("thumbnail"), `picture ${image.id}`));
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
  part("distance").title = `Distance ${distance}`;
  part("band").textContent = band;
  slot("id").before(head);
}

function showPicture(slot, image) {
  const link = slot("original");
  const name = image.remark || image.data_id || `Picture ${image.id}`;
  slot("thumbnail").alt = image.blurred ? `${name}, blurred` : name;
  if (image.thumbnail) slot("thumbnail").src = image.thumbnail;
  if (!image.file || image.blurred) return;
  link.href = image.file;
  link.title = image.kept ? "Open the original" : "Open the small copy that is kept";
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
  slot("source").title = `Its host may show something else by now: ${url.href}`;
}

/** How far to trust a distance: within the precise range, within the recall range, or beyond. */
function bandOf(distance, { precise, recall }) {
  if (distance <= precise) return "strong";
  return distance <= recall ? "possible" : "weak";
}

/** Cards of videos, with the moments that show the query. */

import { cardOf, showCertainty } from "./cards.js";
import { button, byId, fromTemplate, icon, make } from "./dom.js";
import * as format from "./format.js";
import { clearButton } from "./clear_looks.js";
import { moveWhenPointedAt } from "./hover_preview.js";
import { canOpen } from "./lightbox.js";
import { createPlayer } from "./video_player.js";
import { rangeText, timeline } from "./video_timeline.js";

const SAME_SPEED = 0.02;
const NEAR = 0.5; // seconds
const LEAST_LOOP = 1.5; // seconds: of a still, what is around its moment

/** The word for a video's confidence; by default results are at least possible. */
const bandOf = (confidence) => {
  if (confidence >= 0.9) return "strong";
  return confidence >= 0.5 ? "possible" : "weak";
};

/** A stored video on its own: {node, item}. `open(video)` shows it large. */
export function storedVideo(video, open) {
  const { node, slot } = videoCard(video, open);
  slot("frame").src = video.thumbnail ?? "";
  slot("frame").alt = nameOf(video);
  createPlayer(slot, { video, start: null });
  moveWhenPointedAt(slot("player"), { video, start: 0, end: video.duration });
  return { node, item: video };
}

/**
 * The results of a search, one card for each video; several hits of one video are its moments.
 * Each is {node, item, hits, distance}.
 */
export function foundVideos({ results, ambiguous }, open) {
  const ofVideo = new Map();
  for (const hit of results) ofVideo.set(hit.video.id, [...(ofVideo.get(hit.video.id) ?? []), hit]);
  return [...ofVideo.values()].map((hits, rank) => ({
    ...{ node: foundVideo(hits, rank ? [] : ambiguous, open), item: hits[0].video },
    ...{ hits, distance: 1 - hits[0].confidence },
  }));
}

/** `others`: where else the query could be from as well. */
function foundVideo(moments, others, open) {
  const [best] = moments;
  const { video } = best;
  const places = others.filter((place) => !moments.some((hit) => isThere(place, hit)));
  const { node, slot } = videoCard(video, open);
  const band = bandOf(best.confidence);
  node.dataset.band = band;
  slot("id").before(showCertainty(best.confidence, band));
  const { time } = mostAlike(best);
  showFrame(slot("frame"), best);
  moveWhenPointedAt(slot("player"), { video, ...loopOf(best, video) });
  const own = places.filter((place) => place.video === video.id);
  const bar = timeline({ duration: video.duration, ranges: moments, places: own });
  const player = createPlayer(slot, { video, start: time, onTime: bar.at });
  const { node: found, slot: part } = fromTemplate("found");
  part("timeline").replaceWith(bar.node);
  const inOrder = moments.toSorted((one, other) => one.query_start - other.query_start);
  part("moments").append(...inOrder.map((hit) => momentOf(hit, player)));
  if (places.length) part("places").append(...placesOf(places, video, player));
  else part("places").remove();
  part("pairs").append(...moments.flatMap((hit) => hit.matches.map((pair) => pairOf(pair, hit))));
  slot("remark").after(found);
  return node;
}

/** Whether a place is at a moment that is shown already, or close to it. */
const isThere = (place, { video, start, end }) =>
  place.video === video.id && place.start < end + NEAR && place.end > start - NEAR;

function videoCard(video, open) {
  const { node, slot } = cardOf("video", video, "video");
  if (canOpen(video)) {
    const large = button(gettext("Show large"), () => open(video), "button small show-large");
    large.setAttribute("aria-label", format.fill(gettext("Show large, video %(id)s"), video));
    node.querySelector(".facts").after(large);
  }
  if (video.clearable) {
    const clear = clearButton(slot("frame"), nameOf(video));
    clear.dataset.slot = "clear";
    node.querySelector(".facts").after(clear);
  }
  return { node, slot };
}

const nameOf = (video) => video.remark || video.data_id || format.fill(gettext("Video %(id)s"), video);

/** The pair of moments that are most alike. */
const mostAlike = ({ matches }) =>
  matches.reduce((best, pair) => (pair.similarity > best.similarity ? pair : best));

/** What is repeated of a moment. */
function loopOf({ start, end }, { duration }) {
  const missing = Math.max(0, LEAST_LOOP - (end - start)) / 2;
  return { start: Math.max(0, start - missing), end: Math.min(duration, end + missing) };
}

function showFrame(image, hit) {
  const { video } = hit;
  const shown = mostAlike(hit);
  image.src = shown.frame;
  image.alt = format.fill(gettext("%(name)s, at %(time)s"), {
    name: nameOf(video),
    time: format.clock(shown.time, 1),
  });
  // Where there is no small copy there is no picture of the moment.
  image.addEventListener("error", () => (image.src = video.thumbnail ?? ""), { once: true });
}

/** The time, the part of the query, and the edits. */
function momentOf(hit, player) {
  const isStill = hit.query_start === hit.query_end;
  const when = rangeText(hit);
  const about = isStill ? stillAbout(hit) : clipAbout(hit);
  const edits = [
    Math.abs(hit.speed - 1) > SAME_SPEED && 
      format.fill(gettext("%(n)s× speed"), { n: Number(hit.speed.toFixed(2)) }),
    hit.mirrored && gettext("mirrored"),
  ].filter(Boolean);
  return make(
    "li",
    { className: "moment" },
    playButton(when, hit, player),
    loopButton(when, hit, player),
    make("span", { className: "muted" }, about),
    ...edits.map((edit) => make("span", { className: "edit" }, edit)),
  );
}

const clipAbout = ({ query_start: start, query_end: end }) =>
  format.fill(gettext("shows %(range)s of your clip"), { range: rangeText({ start, end }) });

const stillAbout = ({ offset }) =>
  format.fill(gettext("most like it at %(time)s"), { time: format.clock(offset, 1) });

/** Pressed to play from `start`; only words where nothing can be played. */
function playButton(label, { start }, player) {
  if (!player) return make("strong", {}, label);
  const node = button("", () => player.play(start), "button small");
  node.append(icon("play"), label);
  node.setAttribute("aria-label", format.fill(gettext("Play %(what)s"), { what: label }));
  return node;
}

/** Repeats the moment until it is pressed again, or something else is played. */
function loopButton(label, hit, player) {
  if (!player) return "";
  const press = (isPressed) => node.setAttribute("aria-pressed", String(isPressed));
  const node = button(
    gettext("Loop"),
    () => {
      if (node.getAttribute("aria-pressed") === "true") {
        player.endLoop();
        return;
      }
      player.loop({ ...loopOf(hit, hit.video), onEnd: () => press(false) });
      press(true);
    },
    "button small",
  );
  node.setAttribute("aria-label", format.fill(gettext("Loop %(what)s"), { what: label }));
  press(false);
  return node;
}

function placesOf(places, video, player) {
  const nodes = places.map((place) => {
    const label = rangeText(place);
    if (place.video === video.id) return playButton(label, place, player);
    return otherVideo(place, format.fill(gettext("#%(id)s, %(range)s"), { id: place.video, range: label }));
  });
  return [gettext("Other places show it as well: "), ...nodes];
}

/** Leads to the other video's card, if it has one. */
function otherVideo({ video }, label) {
  const find = () => byId("grid").querySelector(`[data-id="${video}"]`);
  const show = () => {
    find()?.scrollIntoView({ block: "center" });
    find()?.querySelector("button, video")?.focus({ preventScroll: true });
  };
  return button(label, show, "button small");
}

const alikeText = (similarity) =>
  format.fill(gettext("%(share)s alike"), { share: `${format.percent(similarity)} %` });

function pairOf({ time, query_time: queryTime, similarity, frame }, hit) {
  const isStill = hit.query_start === hit.query_end;
  const when = isStill ? format.clock(time, 1) : `${format.clock(queryTime, 1)} → ${format.clock(time, 1)}`;
  const alt = format.fill(gettext("The video at %(time)s"), { time: format.clock(time, 1) });
  return make(
    "li",
    {},
    make("img", { src: frame, alt, loading: "lazy", decoding: "async" }),
    make("span", {}, when),
    make("span", { className: "muted" }, alikeText(similarity)),
  );
}

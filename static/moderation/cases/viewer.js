/** Two pictures side by side: filtered in steps by the server, zoomed and moved together. */

import { alignment, layout } from "./alignment.js";
import { Comparison } from "./comparison.js";
import { say } from "./http.js";
import { Playback } from "./playback.js";

const STEP_NAMES = {
  blur: () => pgettext("code", "blur"),
  grey: () => pgettext("code", "grey"),
  lines: () => pgettext("code", "lines"),
  clear: () => pgettext("code", "clear"),
};
const STEPS = Object.keys(STEP_NAMES);
const VIEWS = ["panes", "slider", "blink", "difference"];
const MOST = 12;

/** The viewer of one case. `refresh` of the page makes a new one. */
export class Viewer {
  constructor(root) {
    this.root = root;
    this.frames = [...root.querySelectorAll("[data-pane]")];
    this.strip = [...root.querySelectorAll("[data-ms]")];
    this.step = root.dataset.first;
    this.ms = this.strip.find((one) => one.hasAttribute("aria-current"))?.dataset.ms;
    this.view = { scale: 1, x: 0, y: 0 };
    this.match = root.querySelector("[data-match].chosen");
    const subject = this.#subject();
    this.button = subject ? root.querySelector("[data-play]") : null;
    this.playback = this.button ? new Playback(subject, this.button) : null;
    const both = root.querySelector("[data-both]");
    this.comparison = both ? new Comparison(both) : null;
    this.isAsUploaded = false;
    this.resized = new ResizeObserver(() => this.#arrange());
    if (both) this.resized.observe(root.querySelector(".panes"));
    for (const frame of root.querySelectorAll(".frame:not(.none)")) this.#listen(frame);
    for (const frame of this.frames) this.#await(frame);
    for (const button of this.strip) button.addEventListener("click", () => this.goTo(button));
    this.#onClick("[data-step]", (button) => this.show(button.dataset.step));
    this.#onClick("[data-rendering]", (button) => this.render(button));
    this.#onClick("[data-view]", (button) => this.compare(button.dataset.view));
    this.#onClick("[data-as-uploaded]", () => this.toggleAsUploaded());
    this.#onClick("[data-zoom]", (button) => this.zoom(button.dataset.zoom));
    this.#onClick("[data-play]", () => this.play());
    this.#onClick("[data-overlay]", () => this.toggleRegion());
    this.#onClick("[data-choose]", (button) => this.choose(button.closest("[data-match]")));
  }

  #onClick(selector, action) {
    for (const button of this.root.querySelectorAll(selector)) {
      button.addEventListener("click", () => action(button));
    }
  }

  /** Play the video, or pause it: only where pictures are shown clearly. */
  play() {
    if (!this.playback) return;
    if (this.playback.isOpen) this.playback.toggle();
    else if (this.step === "clear") {
      this.compare("panes");
      this.playback.play(Number(this.ms));
    }
    else say(gettext("A video cannot be filtered: it plays only when pictures are shown clearly. Press x for that."));
  }

  /** The page is left: what is kept for "back" shows nothing clearly. */
  cover() {
    if (this.step === "clear") this.show("blur");
  }

  /** The case leaves the page. */
  close() {
    this.playback?.close();
    this.comparison?.close();
    this.resized.disconnect();
  }

  /** Compare in one of VIEWS, if it is known how the pictures lie on each other. */
  compare(view) {
    if (!this.comparison || (view !== "panes" && !this.#map())) return;
    this.playback?.close();
    for (const button of this.root.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === view));
    }
    for (const frame of this.frames) frame.closest("figure").hidden = view !== "panes";
    this.comparison.show(view === "panes" ? "" : view);
    this.#arrange();
  }

  nextView() {
    const here = this.comparison?.view || "panes";
    this.compare(VIEWS[(VIEWS.indexOf(here) + 1) % VIEWS.length]);
  }

  flip() {
    this.comparison?.flip();
  }

  /** Show the upload as it is, or turned and mirrored as it lies on the item. */
  toggleAsUploaded() {
    const button = this.root.querySelector("[data-as-uploaded]");
    if (!button || button.disabled) return;
    this.isAsUploaded = !this.isAsUploaded;
    button.setAttribute("aria-pressed", String(this.isAsUploaded));
    this.compare("panes");
  }

  /** How the upload lies on the item, or null: unknown, or something else than what matched is shown. */
  #map() {
    const [upload, item] = this.#pictures();
    if (!upload?.naturalWidth || !item?.naturalWidth || !this.match) return null;
    const { matchedMs, matchedPlace } = this.match.dataset;
    const isWhatMatched = this.ms === undefined
      ? this.#subject().dataset.place === matchedPlace : matchedMs === undefined || matchedMs === this.ms;
    return isWhatMatched ? alignment(this.match, sizeOf(upload), sizeOf(item)) : null;
  }

  #subject() {
    return this.frames.find((frame) => frame.dataset.pane === "subject");
  }

  #pictures() {
    return ["subject", "item"].map((name) =>
      this.frames.find((frame) => frame.dataset.pane === name)?.querySelector("img"));
  }

  /** Put both pictures where they belong, in the panes and in what shows both. */
  #arrange() {
    if (!this.comparison) return;
    const map = this.#map();
    const [upload, item] = this.#pictures();
    for (const button of this.root.querySelectorAll("[data-view]:not([data-view=panes]), [data-as-uploaded]")) {
      button.disabled = !map;
    }
    const frame = this.#subject();
    const isPlaced = map && !this.isAsUploaded && frame.clientWidth > 0;
    const size = { width: frame.clientWidth, height: frame.clientHeight };
    const placed = isPlaced ? layout(map, sizeOf(upload), sizeOf(item), size) : {};
    place(upload, placed.upload);
    place(item, placed.item);
    const isThere = map && [upload, item].every((img) => img.complete && !img.classList.contains("covered"));
    this.comparison.set(isThere ? { upload, item, map, step: this.step } : null);
    if (!map && this.comparison.view) this.compare("panes");
    if (this.root.querySelector("[data-overlay]").getAttribute("aria-pressed") === "true") this.#drawRegions();
  }

  /** One step more of what is there; a video that is open stops, or goes on. */
  more() {
    if (this.playback?.isOpen) this.playback.toggle();
    else this.show(STEPS[Math.min(STEPS.indexOf(this.step) + 1, STEPS.length - 1)]);
  }

  /** Show both pictures in a step. What cannot be loaded falls back to blur. */
  show(step) {
    this.playback?.close();
    const covers = STEPS.indexOf(step) < STEPS.indexOf(this.step);
    if (covers) this.comparison?.set(null);
    this.step = step;
    if (this.button) this.button.hidden = step !== "clear";
    for (const button of this.root.querySelectorAll("[data-step]")) {
      button.setAttribute("aria-pressed", String(button.dataset.step === step));
    }
    for (const frame of this.frames) this.#load(frame, covers);
    const shown = step === "clear" ? "lines" : step;
    for (const button of this.strip) {
      const img = button.querySelector("img");
      put(img, `${img.dataset.strip.replace("STEP", shown)}?t=${button.dataset.ms}`, covers);
    }
  }

  #load(frame, covers = false) {
    const img = frame.querySelector("img");
    const isSubject = frame.dataset.pane === "subject";
    const place = this.ms === undefined ? frame.dataset.place : `?t=${this.ms}`;
    const query = isSubject ? place : "";
    const address = (step) => frame.dataset.url.replace("STEP", step) + query;
    img.onerror = () => {
      img.onerror = () => {
        img.onerror = null;
        img.alt = gettext("The picture cannot be shown.");
        img.classList.remove("covered");
      };
      img.src = address("blur");
    };
    const alt = isSubject ? gettext("The upload, filtered: %(filter)s") : gettext("The banned item, filtered: %(filter)s");
    img.alt = interpolate(alt, { filter: STEP_NAMES[this.step]() }, true);
    put(img, address(this.step), covers);
  }

  /** Another moment of a video. */
  goTo(button) {
    for (const one of this.strip) one.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    this.ms = button.dataset.ms;
    const at = this.root.querySelector("[data-at]");
    if (at) at.textContent = interpolate(gettext("at %(time)s"), { time: button.dataset.label }, true);
    if (this.playback?.isOpen) this.playback.seek(Number(this.ms));
    else this.#load(this.#subject());
  }

  /** Another way in which viewers may show the upload: what lies behind it, its colours alone. */
  render(button) {
    for (const one of this.root.querySelectorAll("[data-rendering]")) {
      one.setAttribute("aria-pressed", String(one === button));
    }
    this.#subject().dataset.place = button.dataset.rendering;
    // Blurred first, as every picture that was not asked for.
    this.show(this.root.dataset.first);
  }

  /** The moment before or after; true if there is a strip. */
  stepFrame(by) {
    const here = this.strip.findIndex((one) => one.hasAttribute("aria-current"));
    const next = this.strip[here + by];
    if (next) this.goTo(next);
    return this.strip.length > 0;
  }

  /** Compare with the next matched item that has a picture. */
  nextMatch() {
    const rows = [...this.root.querySelectorAll("[data-match][data-url]")];
    if (rows.length < 2) return;
    this.choose(rows[(rows.indexOf(this.match) + 1) % rows.length]);
  }

  choose(row) {
    const frame = this.frames.find((one) => one.dataset.pane === "item");
    if (!frame || !row?.dataset.url) return;
    this.match?.classList.remove("chosen");
    row.classList.add("chosen");
    this.match = row;
    frame.dataset.url = row.dataset.url;
    this.root.querySelector("[data-item-name]").textContent = row.dataset.name;
    this.root.querySelector("[data-how]").textContent = row.dataset.words;
    this.#load(frame);
    this.#showPlace(row.dataset);
    this.root.querySelector("[data-overlay]").hidden = !row.dataset.subjectRegion;
    this.#arrange();
  }

  /** The picture of the file that matched the item, if it is not the one that is shown. */
  #showPlace({ matchedMs, matchedPlace: place }) {
    const subject = this.#subject();
    const moment = this.strip.find((one) => one.dataset.ms === matchedMs);
    if (moment && matchedMs !== this.ms) return this.goTo(moment);
    if (!subject || this.ms !== undefined || subject.dataset.place === place) return;
    const button = [...this.root.querySelectorAll("[data-rendering]")].find((one) => one.dataset.rendering === place);
    if (button) return this.render(button);
    subject.dataset.place = place;
    this.#load(subject);
  }

  /** "in", "out" or "reset". */
  zoom(how) {
    if (how === "reset") this.view = { scale: 1, x: 0, y: 0 };
    else this.#scaleTo(this.view.scale * (how === "in" ? 1.4 : 1 / 1.4), 0.5, 0.5);
    this.#apply();
  }

  /** Move the pictures by shares of their frames; false if they are shown whole. */
  pan(x, y) {
    if (this.view.scale <= 1) return false;
    this.view.x += x;
    this.view.y += y;
    this.#apply();
    return true;
  }

  #scaleTo(scale, atX, atY) {
    const { view } = this;
    const next = Math.min(Math.max(scale, 1), MOST);
    const ratio = next / view.scale;
    view.x = atX - (atX - view.x) * ratio;
    view.y = atY - (atY - view.y) * ratio;
    view.scale = next;
  }

  #apply() {
    const { view } = this;
    view.x = Math.min(0, Math.max(1 - view.scale, view.x));
    view.y = Math.min(0, Math.max(1 - view.scale, view.y));
    for (const frame of this.root.querySelectorAll(".frame:has(.canvas)")) {
      const { clientWidth: width, clientHeight: height } = frame;
      const canvas = frame.querySelector(".canvas");
      canvas.style.transform = `translate(${view.x * width}px, ${view.y * height}px) scale(${view.scale})`;
    }
  }

  #listen(frame) {
    frame.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = frame.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width;
      const y = (event.clientY - box.top) / box.height;
      this.#scaleTo(this.view.scale * Math.exp(-event.deltaY / 400), x, y);
      this.#apply();
    }, { passive: false });
    frame.addEventListener("pointermove", (event) => {
      if (event.buttons !== 1) return;
      this.pan(event.movementX / frame.clientWidth, event.movementY / frame.clientHeight);
    });
  }

  #await(frame) {
    const img = frame.querySelector("img");
    img.draggable = false;
    // In the next frame: what covered the picture until it came is gone by then.
    img.addEventListener("load", () => requestAnimationFrame(() => this.#arrange()));
  }

  /** Mark where the pictures show the same, or stop that. */
  toggleRegion() {
    const button = this.root.querySelector("[data-overlay]");
    if (button.hidden) return;
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    if (on) this.#drawRegions();
    else for (const drawing of this.root.querySelectorAll("svg.region")) drawing.remove();
  }

  #drawRegions() {
    for (const drawing of this.root.querySelectorAll("svg.region")) drawing.remove();
    for (const frame of this.frames) {
      const text = this.match?.dataset[`${frame.dataset.pane}Region`];
      const img = frame.querySelector("img");
      if (text && img.naturalWidth) frame.querySelector(".canvas").append(drawn(img, JSON.parse(text)));
    }
  }
}

/** Load a picture, unless it is there: each time it is loaded clearly is a look that is counted.
 * `covers`: what is seen less clearly then is not seen at all until it has come. */
function put(img, address, covers) {
  if (img.getAttribute("src") === address) return;
  if (covers) {
    img.classList.add("covered");
    img.addEventListener("load", () => img.classList.remove("covered"), { once: true });
  }
  img.src = address;
}

const sizeOf = ({ naturalWidth: width, naturalHeight: height }) => ({ width, height });

/** Lay a picture into its frame by a map; without one it is shown whole, as it is. */
function place(img, map) {
  img.classList.toggle("placed", Boolean(map));
  img.style.width = map ? `${img.naturalWidth}px` : "";
  img.style.height = map ? `${img.naturalHeight}px` : "";
  img.style.transform = map ? `matrix(${map.join(", ")})` : "";
}

/** A drawing over a picture; `region` has [x, y] as shares of its width and height. */
function drawn(img, region) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const { naturalWidth: width, naturalHeight: height } = img;
  svg.setAttribute("class", "region");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-hidden", "true");
  svg.style.width = `${img.clientWidth}px`;
  svg.style.height = `${img.clientHeight}px`;
  svg.style.left = `${img.offsetLeft}px`;
  svg.style.top = `${img.offsetTop}px`;
  svg.style.transform = img.style.transform;
  const outline = `M${region.map(([x, y]) => `${x * width} ${y * height}`).join("L")}Z`;
  const whole = `M0 0H${width}V${height}H0Z`;
  for (const [name, d] of [["around", whole + outline], ["edge-back", outline], ["edge", outline]]) {
    const path = document.createElementNS(space, "path");
    path.setAttribute("class", name);
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** Both pictures of a case in one place: one over the other with a slider, in turn, or their difference.
 * They are drawn from what the panes show, in its step: nothing more is loaded, and nothing is clearer. */

import { layout } from "./alignment.js";
import { difference } from "./difference.js";

const LONGEST = 1200; // pixels of the drawing
const TURN = 900; // milliseconds that one picture is shown
const LEGENDS = {
  slider: () => gettext("Left of the slider the upload, right of it the item"),
  blink: (comparison) => (comparison.showsItem ? gettext("Item") : pgettext("noun", "Upload")),
};

export class Comparison {
  #timer = 0;

  /** `root`: the figure. */
  constructor(root) {
    this.root = root;
    this.canvas = root.querySelector("canvas");
    this.slide = root.querySelector("[data-slide]");
    this.legend = root.querySelector("[data-legend]");
    this.view = "";
    this.showsItem = false;
    this.pictures = null;
    this.slide.querySelector("input").addEventListener("input", () => this.#draw());
    this.canvas.parentElement.addEventListener("click", () => this.flip());
  }

  /** Show a view; "" ends it. */
  show(view) {
    this.view = view;
    this.root.hidden = !view;
    this.slide.hidden = view !== "slider";
    this.showsItem = false;
    clearInterval(this.#timer);
    if (view === "blink" && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.#timer = setInterval(() => this.#turn(), TURN);
    }
    this.#draw();
  }

  /** Show the other picture, by hand from now on. */
  flip() {
    if (this.view !== "blink") return;
    clearInterval(this.#timer);
    this.#turn();
  }

  /** What to draw: `{upload, item, map, step}`, or null while it is not there or must not be seen. */
  set(pictures) {
    this.pictures = pictures;
    this.#draw();
  }

  close() {
    clearInterval(this.#timer);
    this.set(null);
  }

  #turn() {
    this.showsItem = !this.showsItem;
    this.#draw();
  }

  #draw() {
    const { canvas, pictures, view } = this;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!view || !pictures) return;
    const box = this.root.querySelector(".frame");
    const scale = LONGEST / Math.max(box.clientWidth, box.clientHeight, 1);
    canvas.width = Math.round(box.clientWidth * scale);
    canvas.height = Math.round(box.clientHeight * scale);
    const { upload, item } = layout(pictures.map, sizeOf(pictures.upload), sizeOf(pictures.item), canvas);
    context.imageSmoothingQuality = "high";
    const put = (picture, map) => {
      context.setTransform(...map);
      context.drawImage(picture, 0, 0);
      context.setTransform(1, 0, 0, 1, 0, 0);
    };
    let words = LEGENDS[view]?.(this);
    if (view === "difference") words = this.#difference(context, put, upload, item);
    else if (view === "blink") put(...(this.showsItem ? [pictures.item, item] : [pictures.upload, upload]));
    else this.#slider(context, put, upload, item);
    if (this.legend.textContent !== words) this.legend.textContent = words;
  }

  #slider(context, put, upload, item) {
    const { width, height } = this.canvas;
    const at = Math.round(width * this.slide.querySelector("input").valueAsNumber / 100);
    put(this.pictures.item, item);
    context.clearRect(0, 0, at, height);
    context.save();
    context.beginPath();
    context.rect(0, 0, at, height);
    context.clip();
    put(this.pictures.upload, upload);
    context.restore();
    for (const [colour, wide] of [["#000", 6], ["#fff", 2]]) {
      context.fillStyle = colour;
      context.fillRect(at - wide / 2, 0, wide, height);
    }
  }

  #difference(context, put, upload, item) {
    const { width, height } = this.canvas;
    const drawn = [[this.pictures.upload, upload], [this.pictures.item, item]].map((one) => {
      context.clearRect(0, 0, width, height);
      put(...one);
      return context.getImageData(0, 0, width, height);
    });
    if (this.pictures.step === "blur") {
      context.clearRect(0, 0, width, height);
      return gettext("Blurred pictures have no details to compare: show more with Space.");
    }
    context.putImageData(difference(...drawn, this.pictures.step === "lines"), 0, 0);
    return gettext("Orange: only the upload has it. Blue: only the item has it.");
  }
}

const sizeOf = ({ naturalWidth: width, naturalHeight: height }) => ({ width, height });

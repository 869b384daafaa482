/** The video of a case, in the place of its picture: asked for by a key, muted, gone with the case. */

import { post, say } from "./http.js";

const LEAD = 1; // seconds before the moment that matched


/** The player of one case. Nothing of the video is loaded before `play`. */
export class Playback {
  #asked = 0;

  /** `pane`: the frame that holds the picture; `button` tells whether it plays. */
  constructor(pane, button) {
    this.canvas = pane.querySelector(".canvas");
    this.picture = pane.querySelector("img");
    this.button = button;
    this.element = null;
  }

  get isOpen() {
    return this.element !== null;
  }

  /** Note a look, then play from a second before a moment, in ms. */
  async play(ms) {
    const asked = ++this.#asked;
    let links;
    try {
      ({ links } = await post(this.button.dataset.play));
    } catch (error) {
      say(error.message, true);
      return;
    }
    // Meanwhile it was closed, asked for again, or another case has come.
    if (asked === this.#asked) this.#open(links, Math.max(0, ms / 1000 - LEAD));
  }

  /** Pause, or go on. */
  toggle() {
    if (this.element.paused) this.#start();
    else this.element.pause();
  }

  /** To a moment, in ms. */
  seek(ms) {
    this.element.currentTime = ms / 1000;
  }

  /** Stop loading and playing, and show the picture again. */
  close() {
    this.#asked++;
    if (!this.element) return;
    const { element } = this;
    this.element = null;
    element.pause();
    element.removeAttribute("src");
    element.load();
    element.remove();
    this.picture.hidden = false;
    this.button.setAttribute("aria-pressed", "false");
  }

  #open(links, from) {
    this.close();
    const [link, ...others] = links;
    const element = document.createElement("video");
    Object.assign(element, {
      muted: true, defaultMuted: true, controls: true, playsInline: true,
      disablePictureInPicture: true, disableRemotePlayback: true,
    });
    element.setAttribute("controlslist", "nodownload noremoteplayback");
    element.setAttribute("aria-label", gettext("The upload, played"));
    for (const name of ["play", "pause"]) {
      element.addEventListener(name, () => {
        if (element === this.element) this.button.setAttribute("aria-pressed", String(!element.paused));
      });
    }
    element.addEventListener("error", () => {
      if (element !== this.element) return;
      this.close();
      // What came may be of a kind that no browser plays; the small copy is of one that all do.
      if (others.length) this.#open(others, from);
      else say(gettext("The video cannot be played here. Press p to try again; its frames are below."), true);
    });
    this.element = element;
    this.picture.hidden = true;
    this.canvas.append(element);
    element.addEventListener("loadedmetadata", () => {
      if (element !== this.element) return;
      element.currentTime = from;
      this.#start();
    }, { once: true });
    element.src = link;
  }

  #start() {
    // A refusal is told by the element's error.
    this.element.play().catch(() => {});
  }
}

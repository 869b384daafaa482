/** Stored pictures one at a time, as large as the window. */

import { byId } from "./dom.js";
import * as format from "./format.js";

const dialog = byId("lightbox");
const picture = byId("lightbox-picture");

/** `onSearchWith(id)` from the picture that is shown. */
export function createLightbox({ onSearchWith }) {
  let images = [];
  let at = 0;

  function show(index) {
    at = (index + images.length) % images.length;
    const image = images[at];
    const name = image.remark || image.data_id || `Picture ${image.id}`;
    picture.alt = name;
    // Until the original is here; some formats only other programs can show.
    picture.onerror = () => {
      picture.onerror = null;
      picture.src = image.thumbnail;
    };
    picture.src = image.file;
    byId("lightbox-title").textContent = `#${image.id}`;
    byId("lightbox-facts").textContent = [image.remark, image.data_id, format.file(image)]
      .filter(Boolean)
      .join(" · ");
    byId("lightbox-place").textContent = `${at + 1} of ${images.length}`;
    byId("lightbox-original").href = image.file;
  }

  const step = (by) => images.length > 1 && show(at + by);
  byId("lightbox-before").addEventListener("click", () => step(-1));
  byId("lightbox-next").addEventListener("click", () => step(1));
  byId("lightbox-close").addEventListener("click", () => dialog.close());
  byId("lightbox-search").addEventListener("click", () => {
    dialog.close();
    onSearchWith(images[at].id);
  });
  dialog.addEventListener("keydown", ({ key }) => {
    if (key === "ArrowLeft") step(-1);
    if (key === "ArrowRight") step(1);
  });
  dialog.addEventListener("close", () => picture.removeAttribute("src"));

  return {
    open(shown, index) {
      images = shown;
      for (const id of ["lightbox-before", "lightbox-next"]) byId(id).disabled = images.length < 2;
      show(index);
      dialog.showModal();
    },
  };
}

/** Stored pictures and videos one at a time, as large as the window. */

import { byId, make } from "./dom.js";
import * as format from "./format.js";

const dialog = byId("lightbox");
const stage = byId("lightbox-stage");

const isVideo = (item) => "duration" in item;

/** What is blurred is looked at on its card alone, where each look is asked for. */
export const canOpen = ({ file, blurred }) => Boolean(file) && !blurred;

/** `onSearchWith(id)` from the picture that is shown. */
export function createLightbox({ onSearchWith }) {
  let items = [];
  let at = 0;

  function show(index) {
    at = (index + items.length) % items.length;
    const item = items[at];
    stage.replaceChildren(isVideo(item) ? videoOf(item) : pictureOf(item));
    byId("lightbox-title").textContent = `#${item.id}`;
    byId("lightbox-facts").textContent = [item.remark, item.data_id, format.file(item)]
      .filter(Boolean)
      .join(" · ");
    byId("lightbox-place").textContent = format.fill(gettext("%(n)s of %(total)s"), { n: at + 1, total: items.length });
    byId("lightbox-original").href = item.file;
    byId("lightbox-search").hidden = isVideo(item);
  }

  const step = (by) => items.length > 1 && show(at + by);
  byId("lightbox-before").addEventListener("click", () => step(-1));
  byId("lightbox-next").addEventListener("click", () => step(1));
  byId("lightbox-close").addEventListener("click", () => dialog.close());
  byId("lightbox-search").addEventListener("click", () => {
    dialog.close();
    onSearchWith(items[at].id);
  });
  dialog.addEventListener("keydown", ({ key, target }) => {
    if (target.localName === "video") return; // there they seek
    if (key === "ArrowLeft") step(-1);
    if (key === "ArrowRight") step(1);
  });
  dialog.addEventListener("close", () => stage.replaceChildren());

  return {
    open(shown, index) {
      items = shown;
      for (const id of ["lightbox-before", "lightbox-next"]) byId(id).disabled = items.length < 2;
      show(index);
      dialog.showModal();
    },
  };
}

/** Some formats only other programs can show: then the small copy. */
function pictureOf(image) {
  const alt = image.remark || image.data_id || format.fill(gettext("Picture %(id)s"), image);
  const picture = make("img", { alt, draggable: false });
  picture.addEventListener("error", () => (picture.src = image.thumbnail), { once: true });
  picture.src = image.file;
  return picture;
}

function videoOf(video) {
  const player = make("video", { controls: true, muted: true, playsInline: true });
  player.setAttribute("aria-label", format.fill(gettext("Video %(id)s"), video));
  const small = new URL(video.file);
  small.searchParams.set("small", "1");
  player.addEventListener("error", () => (player.src = small.href), { once: true });
  if (video.thumbnail) player.poster = video.thumbnail;
  player.src = video.file;
  return player;
}

/** The query, shown in the panel. */

import { byId, icon, make } from "./dom.js";
import * as format from "./format.js";
import { isClip, isClipLink } from "./media.js";

let objectUrl = null;
let source = null;

/** Where the browser has the picture of the query, or null: a clip, words, a link of which nothing was sent. */
export const querySource = () => source;

/** Show nothing, `{file}`, `{url}`, `{image}` (a stored one, with its id) or `{text}`. */
export function showPreview(query) {
  if (objectUrl) URL.revokeObjectURL(objectUrl);
  objectUrl = query?.file ? URL.createObjectURL(query.file) : null;
  source = query?.file && !isClip(query.file) ? objectUrl : null;
  const isHere = query?.image?.thumbnail !== null; // it may have been moved in without its picture
  if (query?.id && isHere) source = `/media/images/${query.id}/original`;
  byId("drop-empty").hidden = Boolean(query);
  byId("preview").hidden = !query;
  if (!query) return;
  const [picture, name, facts] = parts(query);
  byId("preview-picture").replaceChildren(picture);
  byId("preview-name").textContent = name;
  byId("preview-name").title = name;
  byId("preview-facts").textContent = facts;
}

/** Show the picture of a link, or of a file that the browser cannot show, as the service has sent it. */
export function showSent(link) {
  source = link;
  byId("preview-picture").replaceChildren(picture(link, gettext("The picture you search with")));
}

function parts(query) {
  if (query.file && isClip(query.file)) return clipParts(query.file);
  if (query.file) {
    const { name, size } = query.file;
    const image = picture(objectUrl, gettext("The picture you search with"), (loaded) => {
      const { naturalWidth, naturalHeight } = loaded;
      byId("preview-facts").textContent = `${naturalWidth} × ${naturalHeight} · ${format.bytes(size)}`;
    });
    return [image, name || gettext("Pasted picture"), format.bytes(size)];
  }
  // What other hosts show is never loaded here: it may be another picture than the service was sent.
  if (query.url) return [icon(isClipLink(query.url) ? "film" : "picture"), query.url, gettext("link")];
  if (query.text) return [make("p", { className: "preview-words" }, query.text), gettext("Words"), ""];
  const { id, image } = query;
  const shown = image?.thumbnail ? picture(image.thumbnail, gettext("The picture you search with")) : icon("picture");
  return [shown, format.fill(gettext("Picture #%(id)s"), { id }), image ? format.file(image) : ""];
}

function clipParts({ name, size }) {
  const video = make("video", { src: objectUrl, controls: true, muted: true, playsInline: true });
  video.ariaLabel = gettext("The clip you search with");
  video.addEventListener("loadedmetadata", () => {
    const { videoWidth: width, videoHeight: height } = video;
    // A recording may not say how long it is.
    const duration = Number.isFinite(video.duration) ? video.duration : null;
    byId("preview-facts").textContent = format.file({ width, height, duration, bytes: size });
  });
  video.addEventListener("error", () => video.replaceWith(icon("film")));
  return [video, name || gettext("Pasted clip"), format.bytes(size)];
}

function picture(src, alt, onLoad) {
  const image = make("img", { alt, draggable: false });
  image.addEventListener("load", () => onLoad?.(image));
  image.addEventListener("error", () =>
    image.replaceWith(make("p", { className: "muted" }, gettext("This browser cannot show it."))),
  );
  image.src = src;
  return image;
}

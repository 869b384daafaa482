/** What is being searched for, shown in the panel. */

import { button, byId, icon, make } from "./dom.js";
import * as format from "./format.js";

let objectUrl = null;

/** Show nothing, `{file}`, `{url, mayLoad}`, `{image}` (a stored one, with its id) or `{text}`. */
export function showPreview(query) {
  if (objectUrl) URL.revokeObjectURL(objectUrl);
  objectUrl = query?.file ? URL.createObjectURL(query.file) : null;
  byId("drop-empty").hidden = Boolean(query);
  byId("preview").hidden = !query;
  if (!query) return;
  const [picture, name, facts] = parts(query);
  byId("preview-picture").replaceChildren(picture);
  byId("preview-name").textContent = name;
  byId("preview-name").title = name;
  byId("preview-facts").textContent = facts;
}

function parts(query) {
  if (query.file) {
    const { name, size } = query.file;
    const image = picture(objectUrl, "The picture you search with", (loaded) => {
      const { naturalWidth, naturalHeight } = loaded;
      byId("preview-facts").textContent = `${naturalWidth} × ${naturalHeight} · ${format.bytes(size)}`;
    });
    return [image, name || "Pasted picture", format.bytes(size)];
  }
  if (query.url) return [linkedPicture(query), query.url, "link"];
  if (query.text) return [make("p", { className: "preview-words" }, query.text), "Words", ""];
  const { id, image } = query;
  const shown = image?.thumbnail ? picture(image.thumbnail, "The picture you search with") : icon("picture");
  return [shown, `Picture #${id}`, image ? format.file(image) : ""];
}

/**
 * A linked picture is loaded from its site at once only where the link was entered here: who
 * opens a shared search should not visit a stranger's site without wanting to.
 */
function linkedPicture({ url, mayLoad }) {
  const load = () => picture(url, "The picture you search with");
  if (mayLoad) return load();
  return button(
    "Show picture",
    (event) => event.currentTarget.replaceWith(load()),
    "button small",
  );
}

function picture(src, alt, onLoad) {
  const image = make("img", { alt, referrerPolicy: "no-referrer", draggable: false });
  image.addEventListener("load", () => onLoad?.(image));
  image.addEventListener("error", () =>
    image.replaceWith(make("p", { className: "muted" }, "This browser cannot show it.")),
  );
  image.src = src;
  return image;
}

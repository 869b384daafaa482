/** The dialog that adds pictures and videos, a few at a time. */

import * as api from "./api.js";
import { byId, fromTemplate, icon, linkOf, make } from "./dom.js";
import { bytes, count, fill, limit } from "./format.js";
import { watch } from "./indexing_progress.js";
import { isClip, isClipLink } from "./media.js";

const AT_ONCE = 2;
const STATES = {
  waiting: gettext("ready to add"),
  adding: gettext("adding…"),
  added: gettext("added"),
  pending: gettext("added, being described"),
  indexing: gettext("added, waits to be indexed"),
  held: gettext("added, held for review"),
  exists: gettext("already here"),
  failed: "",
};
const ADDED = ["added", "pending", "indexing", "held"];

/**
 * `onAdded()` when the dialog closes after adding, `onIndexed()` when a video can be found only
 * after that, `onSearchWith(id)` from a row.
 */
export function createAdder({ onAdded, onIndexed, onSearchWith }) {
  const dialog = byId("add");
  let items = [];
  let running = null; // an AbortController while adding
  let limits = null;

  const refresh = () => {
    showProgress(items, running);
    byId("add-queue").hidden = !items.length;
  };

  function put(pictures) {
    if (items.length && items.every(isDone)) reset();
    for (const picture of pictures) {
      const item = { picture, state: "waiting", ...rowOf(picture) };
      items.push(item);
      byId("add-queue").append(item.node);
      item.slot("search-with").addEventListener("click", () => {
        dialog.close();
        onSearchWith(item.id);
      });
      const most = item.isVideo ? limits?.video_bytes : limits?.query_bytes;
      if (picture.file?.size > most) showItem(item, "failed", tooLarge(picture.file, most));
      else showItem(item);
    }
    refresh();
  }

  function reset() {
    for (const { objectUrl } of items) if (objectUrl) URL.revokeObjectURL(objectUrl);
    items = [];
    byId("add-queue").replaceChildren();
    refresh();
  }

  async function follow(item) {
    await showIndexing(item);
    if (dialog.open) refresh();
    else onIndexed();
  }

  async function addAll() {
    const links = byId("add-links").value.split(/\s+/).filter(Boolean);
    byId("add-links").value = "";
    if (links.length) put(links.map((text) => ({ url: linkOf(text) ?? text })));
    if (!items.some(({ state }) => state === "waiting")) return;
    const about = { dataId: byId("add-data-id").value, remark: byId("add-remark").value };
    running = new AbortController();
    refresh();
    const work = async () => {
      for (let item; (item = items.find(({ state }) => state === "waiting")); ) {
        await addOne(item, about, running.signal);
        if (item.state === "indexing") follow(item);
        refresh();
      }
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, work));
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
    running = null;
    refresh();
  }

  byId("add-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (items.length && items.every(isDone) && !byId("add-links").value.trim()) dialog.close();
    else if (!running) addAll();
  });
  byId("add-links").addEventListener("input", refresh);
  byId("add-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    running?.abort();
    const added = items.some(({ state }) => ADDED.includes(state));
    reset();
    byId("add-form").reset();
    if (added) onAdded();
  });
  const files = byId("add-files");
  byId("add-choose").addEventListener("click", () => files.click());
  files.addEventListener("change", () => {
    put([...files.files].map((file) => ({ file })));
    files.value = "";
  });

  return {
    /** `{query_bytes, video_bytes}`: the largest files that the service takes. */
    set limits(value) {
      limits = value;
      const pictures = limit(value.query_bytes);
      byId("add-limit").textContent = fill(gettext("Pictures up to %(pictures)s, videos up to %(videos)s"), {
        pictures,
        videos: limit(value.video_bytes),
      });
    },

    /** Open with pictures ({file} or {url}) already in the list. */
    open(pictures = []) {
      if (!dialog.open) dialog.showModal();
      put(pictures);
      byId(pictures.length ? "add-submit" : "add-choose").focus();
    },
  };
}

const tooLarge = ({ size }, most) => 
  fill(gettext("too large: %(size)s, at most %(most)s"), { size: bytes(size), most: limit(most) });

/** What the button says; links that are still being typed count as pictures. */
function addText(number, items) {
  const isVideo = ({ isVideo }) => isVideo;
  let text = ngettext("Add %(n)s file", "Add %(n)s files", number);
  if (!items.some(isVideo)) text = ngettext("Add %(n)s picture", "Add %(n)s pictures", number);
  else if (items.every(isVideo) && !byId("add-links").value.trim()) {
    text = ngettext("Add %(n)s video", "Add %(n)s videos", number);
  }
  return fill(text, { n: count(number) });
}

const isDone = ({ state }) => !["waiting", "adding"].includes(state);

function rowOf({ file, url }) {
  const { node, slot } = fromTemplate("queue-item");
  slot("name").textContent = file?.name ?? url;
  slot("name").title = file?.name ?? url;
  const isVideo = file ? isClip(file) : Boolean(linkOf(url)) && isClipLink(linkOf(url));
  if (isVideo) slot("picture").append(icon("film"));
  if (isVideo || !file) return { node, slot, isVideo };
  const objectUrl = URL.createObjectURL(file);
  const image = make("img", { alt: "", loading: "lazy", src: objectUrl });
  image.addEventListener("error", () => image.remove());
  slot("picture").append(image);
  return { node, slot, isVideo, objectUrl };
}

async function addOne(item, about, signal) {
  showItem(item, "adding");
  const sending = (share) => {
    const sent = fill(gettext("sending… %(share)s"), { share: `${Math.floor(100 * share)} %` });
    showItem(item, "adding", share < 1 ? sent : "");
  };
  try {
    if (item.isVideo) {
      item.video = await api.addVideo(item.picture, about, signal, sending);
      showItem(item, "indexing");
      return;
    }
    const image = await api.add(item.picture, about, signal, sending);
    item.id = image.status === "ready" ? image.id : null;
    if (image.status === "failed") showItem(item, "failed", image.failure);
    else showItem(item, { ready: "added", pending: "pending" }[image.status] ?? "held");
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // One can search with a picture that is here.
    item.id = item.isVideo ? null : (error.existingId ?? null);
    if (error.status === 409) showItem(item, "exists");
    else showItem(item, "failed", error.message);
  }
}

/** Until the video can be found, or has failed. */
async function showIndexing(item) {
  const video = await watch(item.video, ({ progress }) => {
    if (progress) showItem(item, "indexing", fill(gettext("indexing… %(share)s"), { share: `${progress} %` }));
  });
  if (video?.status === "failed") showItem(item, "failed", video.failure);
  else if (video) showItem(item, video.status === "ready" ? "added" : "held");
}

function showItem(item, state = "waiting", why = "") {
  item.state = state;
  item.node.dataset.state = state;
  item.slot("state").textContent = why || STATES[state];
  item.slot("search-with").hidden = !item.id;
}

function showProgress(items, running) {
  const number = (...states) => items.filter(({ state }) => states.includes(state)).length;
  const parts = [
    [number(...ADDED), gettext("%(n)s added")],
    [number("exists"), gettext("%(n)s already here")],
    [number("failed"), gettext("%(n)s failed")],
  ];
  const done = parts.filter(([n]) => n).map(([n, text]) => fill(text, { n }));
  const left = number("waiting", "adding");
  byId("add-progress").textContent = (
    running ? [...done, fill(gettext("%(n)s to go"), { n: left })] : done
  ).join(gettext(", "));
  const links = byId("add-links").value.split(/\s+/).filter(Boolean).length;
  const waiting = number("waiting") + links;
  const submit = byId("add-submit");
  const finished = items.length > 0 && left + links === 0;
  submit.disabled = Boolean(running) || (!waiting && !finished);
  submit.textContent = finished ? gettext("Done") : waiting ? addText(waiting, items) : gettext("Add");
  for (const id of ["add-sources", "add-about"]) byId(id).hidden = Boolean(running) || finished;
}

/** Connects the parts of the page. Its state is in the address bar; each change runs one search. */

import { createAdder } from "./add_dialog.js";
import * as api from "./api.js";
import { compare } from "./comparison_dialog.js";
import { createControls } from "./search_controls.js";
import { byId, confirmOn, copyText, linkOf } from "./dom.js";
import { pictureTable, saveCsv, saveJson, videoTable } from "./exporting.js";
import * as format from "./format.js";
import { createLightbox } from "./lightbox.js";
import { createManyDialog } from "./many_dialog.js";
import * as messages from "./messages.js";
import { isAnimation, isClip, isShownByBrowsers } from "./media.js";
import { moreResults, pages } from "./paging.js";
import { createPartDialog } from "./part_dialog.js";
import { createPicker } from "./query_picker.js";
import { querySource, showPreview, showSent } from "./query_preview.js";
import { createResults } from "./results.js";
import { withScales } from "./distance_texts.js";
import * as searches from "./search_history.js";
import { createSorting } from "./sorting.js";
import { parse, PICTURES, serialise, VIDEOS } from "./state.js";
import { noVideos } from "./video_messages.js";
import * as videos from "./video_search.js";
import { createWhere, onlyPlaceOf } from "./target_choice.js";

const shareLabel = byId("share-label"); // out of the page while gettext("Copied") is in its place
const uploads = new Map(); // key → File: what the address cannot hold, for back and forward

let service = null; // the answer of status/; until then nothing can run
let state = parse(location.search, history.state);
let found = null; // the last answer of images/search/
let running = new AbortController();
let shownWords = ""; // the link or the words of the query that the field was last given

const lightbox = createLightbox({ onSearchWith: (id) => searchFor({ id }) });
const results = createResults({
  onSearchWith: (id) => searchFor({ id }),
  onCompare: compareWith,
  onOpen: lightbox.open,
});
const adder = createAdder({
  onAdded: start,
  onIndexed: () => state.query || start(),
  onSearchWith: (id) => searchFor({ id }),
});
const controls = createControls({
  onChange: (fields) => {
    // Leaving a field repeats what Enter in it has said.
    if (Object.keys(fields).some((name) => fields[name] !== state[name])) go({ ...state, ...fields });
  },
  onThreshold: setThreshold,
});
const choosePart = createPartDialog({ onPart: (file) => searchWithFile(file, state.where) });
const openMany = createManyDialog({
  settings: () => {
    const { label, scale, default_threshold: initial } = settings();
    const { matchType, prefix, threshold } = state;
    const { measure, measureOf } = scale;
    const { limits } = service;
    return { matchType, label, prefix, threshold: threshold ?? initial, limits, measure, measureOf };
  },
});
const sorting = createSorting({ onChange: sortBy });
const where = createWhere({ onChange: (where) => go({ ...state, where, cursor: null }) });
const picker = createPicker({
  onFiles: takeFiles,
  onText: takeText,
  dropHint: (count) => (addsDrops(count) ? gettext("Drop to add to the gallery") : gettext("Drop to search")),
});

const hasNo = (counts) => Object.values(counts).every((number) => number === 0);
const galleryIsEmpty = () => Boolean(service) && hasNo(service.images) && hasNo(service.videos);
const inVideos = () => state.where === VIDEOS;
const fileOf = (query) => uploads.get(query?.upload ?? query?.shared);
const addsDrops = (count) => count > 1 || byId("add").open || galleryIsEmpty();
const settings = () => service.match_types[state.matchType];

async function takeFiles(files) {
  await started; // only then is it known whether there is anything to search
  if (addsDrops(files.length)) {
    adder.open(files.map((file) => ({ file })));
    return;
  }
  const [file] = files;
  if (file.size > service?.limits.query_bytes) {
    running.abort();
    results.showOnly(...messages.tooLarge(file, service.limits, () => byId("file").click()));
    return;
  }
  // An animation can be searched in both; it is rather from a video, where there are some.
  const moves = isClip(file) || (service?.videos.ready !== 0 && (await isAnimation(file)));
  searchWithFile(file, moves ? VIDEOS : state.where);
}

function searchWithFile(file, where) {
  const key = `${Date.now()}-${uploads.size}`;
  uploads.set(key, file);
  searchFor({ upload: key }, where);
}

function takeText(text) {
  const url = linkOf(text);
  if (byId("add").open) {
    if (url) adder.open([{ url }]);
  } else if (url) {
    searchFor({ url });
  } else if (service?.match_types.clip?.available) {
    const threshold = state.matchType === "clip" ? state.threshold : null;
    go({ ...state, query: { text }, where: PICTURES, matchType: "clip", threshold });
    results.focus();
  } else {
    const why = service?.match_types.clip?.why ?? "";
    picker.showProblem(why ? `${messages.matchTypeOff("clip")} ${messages.NO_LINK}` : messages.NO_LINK, why);
    byId("words").focus();
  }
}

function searchFor(query, where = state.where) {
  go({ ...state, query, where, unsure: false, cursor: null });
  results.focus();
}

/** A new entry in the history. */
function go(next) {
  state = next;
  controls.showFields(state);
  history.pushState({ upload: state.query?.upload }, "", serialise(state));
  return service ? run() : start();
}

/** Only hides and shows; the address follows once the slider rests. */
function setThreshold(value, done) {
  if (!service) return;
  state.threshold = value === settings().default_threshold ? null : value;
  if (done) history.replaceState(history.state, "", serialise(state));
  applyThreshold();
}

function sortBy(sort) {
  state = { ...state, sort };
  history.replaceState(history.state, "", serialise(state));
  results.sort(sort);
}

function applyThreshold() {
  const { default_threshold: initial, max_threshold: maximum, scale } = settings();
  const threshold = Math.min(state.threshold ?? initial, maximum);
  let summary = "";
  if (found) {
    const shown = results.filter(threshold);
    summary = format.fill(
      ngettext("%(shown)s of %(n)s picture", "%(shown)s of %(n)s pictures", found.results.length),
      { shown: format.count(shown), n: format.count(found.results.length) },
    );
    messages.describeMatches(results, { found, shown, threshold, state, settings: settings() });
    showMatchNotices(shown);
  }
  controls.showThreshold(threshold, scale, summary);
}

function showMatchNotices(shown) {
  const picture = addable();
  const about = {
    ...{ found, shown, settings: settings(), pending: service.images.pending },
    widen: (value) => setThreshold(value, true),
    add: picture && (() => adder.open([picture])),
  };
  results.notice(...messages.matchNotices(about));
  results.noticeAfter(...messages.notHereYet(about));
  // Those that are still to come are farther away than all that are here.
  const isAllShown = shown === found.results.length;
  results.more(isAllShown && moreResults({ number: shown, limit: state.limit }, loadMore));
}

async function loadMore(limit) {
  const count = state.limit;
  await go({ ...state, limit });
  results.focusAfter(count);
}

/** The query as something to add: a file or a link, not words or a stored picture. */
function addable() {
  const { url, upload } = state.query;
  if (url) return { url };
  return upload ? { file: fileOf({ upload }) } : null;
}

async function run() {
  running.abort();
  const { signal } = (running = new AbortController());
  found = null;
  try {
    if (state.query?.shared) await openShared(signal);
    if (signal.aborted) return;
    normalise();
    showQuery();
    if (state.query) {
      await search(signal);
      if (!signal.aborted) searches.remember(state, serialise(state));
    } else if (inVideos()) await showVideos(signal);
    else await showGallery(signal);
  } catch (error) {
    if (!signal.aborted) showFailure(error);
  }
}

/** The picture or clip of a shared search, which is then searched with like an upload. */
async function openShared(signal) {
  const token = state.query.shared;
  if (uploads.has(token)) return;
  results.loading(gettext("Opening the link…"));
  uploads.set(token, await api.sharedFile(token, signal));
}

/** Fill in what the address left open, and drop what does not exist or go together. */
function normalise() {
  state.where = onlyPlaceOf(state.query, fileOf(state.query)) ?? state.where;
  const types = service.match_types;
  if (types[state.matchType]) return;
  const names = Object.keys(types);
  const first = names.find((name) => types[name].available) ?? names[0];
  state.matchType = state.query?.text ? "clip" : first;
}

function showQuery() {
  const { query } = state;
  const file = fileOf(query);
  where.show(state.where, onlyPlaceOf(query, file));
  showWords(query?.url ?? query?.text ?? "");
  picker.takesWords = service.match_types.clip?.available;
  controls.showState(state, service.match_types);
  sorting.show(state.sort, !inVideos());
  controls.showDistances([], settings());
  applyThreshold();
  const canShare = file && service.limits.share_hours > 0;
  byId("share").hidden = !query || Boolean(query.upload && !canShare);
  shareLabel.textContent = query?.upload ? gettext("Share…") : gettext("Copy link");
  if (file) showPreview({ file });
  else if (query?.url) showPreview({ url: query.url });
  else showPreview(query?.upload ? null : query);
  byId("choose-part").hidden = !querySource();
}

/** Only when they change, so that text typed during a search is not lost. */
function showWords(words) {
  if (words !== shownWords) picker.text = shownWords = words;
  else picker.showProblem("");
}

async function search(signal) {
  const { query } = state;
  const file = fileOf(query);
  if (query.upload && !file) {
    results.showOnly(...messages.uploadGone(inVideos(), () => byId("file").click()));
    return;
  }
  results.loading(gettext("Searching…"));
  if (query.id) showStoredQuery(query.id, signal);
  if (inVideos()) {
    await searchVideos(file, signal);
    return;
  }
  // What is behind a link is not loaded by the browser: the service sends what it found there.
  const explain = file ? !isShownByBrowsers(file) : Boolean(query.url);
  const asked = { ...state, threshold: settings().max_threshold, explain };
  found = await api.search(file ? { file } : query, asked, signal, results.sending);
  if (found.query) showSent(found.query);
  byId("choose-part").hidden = !querySource();
  results.showMatches(found.results, settings());
  results.sort(state.sort);
  controls.showDistances(found.results.map(({ distance }) => distance), settings());
  applyThreshold();
}

async function searchVideos(file, signal) {
  const picture = addable();
  const isOnlyVideo = onlyPlaceOf(state.query, file) === VIDEOS;
  const number = await videos.search(results, {
    query: file ? { file } : state.query,
    state,
    videos: service.videos,
    signal,
    askAll: () => go({ ...state, unsure: true }),
    add: picture && (() => adder.open([picture])),
    searchPictures: isOnlyVideo ? null : () => go({ ...state, where: PICTURES }),
  });
  results.more(moreResults({ number, limit: state.limit }, loadMore));
}

/** Show a match, the `rank`th from 0, next to the query. Drawing takes the service some time. */
function compareWith({ image, explanation }, rank, words) {
  const { query } = state;
  const file = fileOf(query);
  const asked = { ...state, threshold: settings().max_threshold, limit: rank + 1, explain: true };
  const ask = async (signal) => {
    if (explanation) return explanation;
    const { results: matches } = await api.search(file ? { file } : query, asked, signal);
    return matches.find((match) => match.image.id === image.id)?.explanation;
  };
  compare({ id: image.id, words, ask });
}

async function showStoredQuery(id, signal) {
  const image = await api.image(id, signal).catch(() => null);
  if (image && !signal.aborted) showPreview({ id, image });
}

async function showVideos(signal) {
  const { ready, pending } = service.videos;
  if (!ready) {
    results.showOnly(gettext("No videos yet"), noVideos(pending, () => adder.open()));
    return;
  }
  const { cursor } = state;
  const page = await videos.showStored(results, { cursor, videos: service.videos }, signal);
  results.more(pages(page, turnTo));
}

async function turnTo(cursor) {
  await go({ ...state, cursor });
  results.focus();
}

async function showGallery(signal) {
  const title = state.cursor ? gettext("Older pictures") : gettext("Newest pictures");
  results.loading(title);
  if (hasNo(service.images)) {
    const title = galleryIsEmpty() ? gettext("The gallery is empty") : gettext("No pictures yet");
    results.showOnly(title, messages.emptyGallery(() => adder.open()));
    return;
  }
  const page = await api.pictures(state.cursor, signal);
  results.showStored(title, page.results);
  results.more(pages(page, turnTo));
}

function showFailure(error) {
  if (!(error instanceof api.ApiError)) console.error(error);
  byId("share").hidden = true;
  byId("query").hidden = byId("add-open").hidden = !service && Boolean(error.needsSignIn);
  const mayBeVideo = error.code === "not_an_image" && state.query?.url && !inVideos();
  const instead = mayBeVideo && (() => go({ ...state, where: VIDEOS }));
  results.showOnly(...messages.failure(error, start, instead));
}

async function start() {
  results.loading(gettext("Loading…"));
  try {
    service = await api.status();
  } catch (error) {
    showFailure(error);
    return;
  }
  byId("query").hidden = byId("add-open").hidden = false;
  service.match_types = withScales(service.match_types);
  const pending = service.images.pending + service.videos.pending;
  byId("counts").textContent = pending ? format.fill(gettext("%(n)s on the way"), { n: format.count(pending) }) : "";
  where.showCounts(service);
  controls.showMatchTypes(service.match_types);
  byId("drop-limit").textContent = format.fill(gettext("Up to %(size)s"), {
    size: format.limit(service.limits.query_bytes),
  });
  adder.limits = service.limits;
  await run();
}

window.addEventListener("popstate", () => {
  state = parse(location.search, history.state);
  controls.showFields(state);
  if (service) run();
});
byId("clear").addEventListener("click", () => {
  picker.text = "";
  go({ ...state, query: null });
  byId("choose").focus();
});
byId("many-open").addEventListener("click", () => service && openMany());
byId("choose-part").addEventListener("click", () => choosePart(querySource(), byId("preview-name").textContent));
byId("add-open").addEventListener("click", () => adder.open());
byId("export-csv").addEventListener("click", async () => {
  const shown = results.shown();
  const table = inVideos() ? videoTable(shown) : pictureTable(shown);
  await saveCsv("results", table).catch(showFailure);
});
byId("export-json").addEventListener("click", () => saveJson("results", results.shown()));
/** An upload is not in the address: the service has to keep it, which is asked first. */
function shareUpload() {
  const file = fileOf(state.query);
  const make = async () => {
    try {
      const { token, ends_at: endsAt } = await api.share(file, inVideos() ? "videos" : "images");
      const address = new URL(serialise({ ...state, query: { shared: token } }), location.href).href;
      const copy = async ({ currentTarget }) => {
        await copyText(address);
        confirmOn(currentTarget, gettext("Copied"));
      };
      results.notice(messages.shared(address, endsAt, copy));
    } catch (error) {
      const [title, node] = messages.failure(error, make);
      node.prepend(title);
      results.notice(node);
    }
  };
  results.notice(messages.askToShare(service.limits, inVideos(), make, () => results.notice()));
}

byId("share").addEventListener("click", async ({ currentTarget }) => {
  if (state.query?.upload) {
    shareUpload();
    return;
  }
  await copyText(location.href);
  confirmOn(currentTarget, gettext("Copied"));
});

searches.show();
controls.showFields(state);
const started = start();

/** Searching with many pictures: a row for each, with the best match, and all matches as a file. */

import * as api from "./api.js";
import { byId, make } from "./dom.js";
import { editsOf } from "./edit_texts.js";
import { saveCsv, saveJson } from "./exporting.js";
import * as format from "./format.js";
import { isPictureFile } from "./media.js";

const AT_ONCE = 2;
const MOST = 1000; // pictures
const MATCHES = 5; // of each picture, at most
const COLUMNS = ["picture", "outcome", "rank", "id", "data_id", "remark", "file", "distance", "confidence", "what_changed"];

const dialog = byId("many");

/** `settings()` says how is searched: {matchType, label, threshold, prefix, limits, measure}. */
export function createManyDialog({ settings }) {
  let outcomes = []; // {name, matches, problem}, in the order of the files
  let running = null;

  async function searchAll(files) {
    const pictures = files.filter(isPictureFile);
    const asked = settings();
    outcomes = pictures.slice(0, MOST).map((file) => ({ file, name: nameOf(file), matches: null, problem: "" }));
    const rows = outcomes.map(({ name }) => emptyRow(name));
    byId("many-measure").textContent = asked.measure;
    byId("many-rows").replaceChildren(...rows);
    byId("many-table").hidden = byId("many-stop").hidden = !outcomes.length;
    byId("many-choices").hidden = outcomes.length > 0;
    running = new AbortController();
    const { signal } = running;
    const waiting = [...outcomes.entries()];
    const work = async () => {
      for (let next; !signal.aborted && (next = waiting.shift()); ) {
        const [at, outcome] = next;
        await searchOne(outcome, asked, signal);
        rows[at].replaceChildren(...cellsOf(outcome, asked));
        showProgress(files.length - outcomes.length);
      }
    };
    showProgress(files.length - outcomes.length);
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (running?.signal === signal) running = null;
    byId("many-stop").hidden = true;
    showProgress(files.length - outcomes.length);
  }

  function showProgress(skipped) {
    const done = outcomes.filter(({ matches, problem }) => matches || problem);
    const found = done.filter(({ matches }) => matches?.length).length;
    const parts = outcomes.length
      ? [searchedText(done.length, outcomes.length), foundText(found)]
      : [gettext("There is no picture among these files")];
    if (skipped && outcomes.length) parts.push(skippedText(skipped));
    byId("many-progress").textContent = parts.join(" · ");
    for (const id of ["many-csv", "many-json"]) byId(id).disabled = !done.length;
  }

  for (const kind of ["folder", "pictures"]) {
    const input = byId(`many-${kind}-input`);
    byId(`many-${kind}`).addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const files = [...input.files];
      input.value = "";
      if (files.length) searchAll(files);
    });
  }
  byId("many-stop").addEventListener("click", () => running?.abort());
  byId("many-csv").addEventListener("click", () => saveCsv("found", tableOf(outcomes)));
  byId("many-json").addEventListener("click", () => saveJson("found", jsonOf(outcomes)));
  byId("many-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => running?.abort());

  return function open() {
    if (!running) {
      outcomes = [];
      byId("many-table").hidden = true;
      byId("many-choices").hidden = false;
      byId("many-progress").textContent = "";
      byId("many-note").textContent = format.fill(
        gettext("Up to %(n)s pictures. Searched by: %(label)s."),
        { n: format.count(MOST), label: settings().label },
      );
    }
    dialog.showModal();
    byId("many-folder").focus();
  };
}

const searchedText = (done, total) =>
  format.fill(
    ngettext("%(done)s of %(total)s picture searched", "%(done)s of %(total)s pictures searched", total),
    { done: format.count(done), total: format.count(total) },
  );

const foundText = (number) => format.fill(gettext("%(n)s found"), { n: format.count(number) });

const skippedText = (number) =>
  format.fill(ngettext("%(n)s other file left out", "%(n)s other files left out", number), {
    n: format.count(number),
  });

const orMore = (n) => format.fill(gettext("%(n)s or more"), { n });

const nameOf = (file) => file.webkitRelativePath || file.name;

async function searchOne(outcome, asked, signal) {
  if (outcome.file.size > asked.limits.query_bytes) {
    outcome.problem = format.fill(gettext("too large: %(size)s"), { size: format.bytes(outcome.file.size) });
    return;
  }
  try {
    const { results } = await patiently(
      () => api.search({ file: outcome.file }, { ...asked, limit: MATCHES }, signal),
      signal,
    );
    outcome.matches = results;
  } catch (error) {
    if (error.name !== "AbortError") outcome.problem = error.message;
  }
}

/** A service that says when to come back is asked again then. */
async function patiently(ask, signal) {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (error.status !== 429 || !error.retryAfter) throw error;
      await new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, 1000 * error.retryAfter);
        signal.addEventListener("abort", () => {
          clearTimeout(timer);
          reject(new DOMException("Aborted", "AbortError"));
        });
      });
    }
  }
}

function emptyRow(name) {
  return make("tr", {}, heading(name), make("td", { className: "muted", colSpan: 4 }, gettext("waiting")));
}

const heading = (name) => make("th", { scope: "row", title: name }, name);

function cellsOf({ name, matches, problem }, { measureOf }) {
  if (!matches) return [heading(name), make("td", { className: "failed", colSpan: 4 }, problem || gettext("stopped"))];
  const [best] = matches;
  if (!best) return [heading(name), make("td", { className: "muted", colSpan: 4 }, gettext("nothing found"))];
  const { image, geometry } = best;
  const link = make("a", { href: `?id=${image.id}`, target: "_blank", rel: "noopener" });
  if (image.thumbnail) link.append(make("img", { src: image.thumbnail, alt: "", loading: "lazy" }));
  link.append(`#${image.id}`);
  const more = matches.length < MATCHES ? String(matches.length) : orMore(MATCHES);
  return [
    heading(name),
    make("td", {}, link),
    make("td", {}, measureOf(best)),
    make("td", {}, more),
    make("td", {}, geometry ? editsOf(geometry).join(gettext("; ")) : ""),
  ];
}

/** A row for each match; for a picture without one, a row that says so. */
function tableOf(outcomes) {
  const rows = outcomes.flatMap(({ name, matches, problem }) => {
    const answer = matches?.length ? gettext("found") : gettext("nothing found");
    const outcome = matches ? answer : problem || gettext("not searched");
    const found = matches?.length ? matches : [null];
    return found.map((match, at) => [
      ...[name, outcome, match && at + 1],
      ...["id", "data_id", "remark", "file"].map((key) => match?.image[key] ?? null),
      ...[match?.distance ?? null, match?.confidence ?? null],
      match?.geometry ? editsOf(match.geometry).join("; ") : null,
    ]);
  });
  return { columns: COLUMNS, rows };
}

const jsonOf = (outcomes) =>
  outcomes.map(({ name, matches, problem }) => ({ picture: name, results: matches ?? [], problem: problem || null }));

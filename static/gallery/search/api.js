/** Calls of the HTTP API. */

import { explained } from "./error_texts.js";
import { fill, moment } from "./format.js";
import { send } from "./upload.js";

const ROOT = "/api/v1/";
const ADD_WAIT_SECONDS = 10;

/**
 * A refusal: its message is a sentence for people in the language of the page, `detail` what the
 * service said, `code` a word for programs, `retryAfter` the seconds after which the service may answer.
 */
export class ApiError extends Error {
  constructor(status, { code = "unknown", detail, field, existing_id: existingId }, retryAfter = 0) {
    super(explained(code, detail));
    Object.assign(this, { status, code, detail, field, existingId, retryAfter });
  }

  get needsSignIn() {
    return this.status === 401 || this.status === 403;
  }
}

export const status = (signal) => request("GET", "status/", { signal });

export const image = (id, signal) => request("GET", `images/${id}/`, { signal });

const PAGE = "status=ready&page_size=24";

/** A page of stored pictures, newest first: {results, older, newer}; the latter are cursors. */
export const pictures = (cursor, signal) => page("images/", cursor, signal);

/** A page of stored videos. */
export const storedVideos = (cursor, signal) => page("videos/", cursor, signal);

async function page(path, cursor, signal) {
  const at = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
  const { results, next, previous } = await request("GET", `${path}?${PAGE}${at}`, { signal });
  const cursorOf = (link) => link && new URL(link).searchParams.get("cursor");
  return { results, older: cursorOf(next), newer: cursorOf(previous) };
}

/** A table {columns, rows} as a CSV file. */
export async function csvOf(table) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": csrfToken() };
  const response = await reach(fetch, "/imgsmlr/table.csv", {
    method: "POST",
    headers,
    body: JSON.stringify(table),
  });
  if (response.ok) return response.blob();
  throw await refusalOf(response);
}

/** Search with {id}, {url}, {text} or {file}. `explain`: have the matches drawn, which takes time. */
export function search(query, asked, signal, onProgress) {
  const { matchType, threshold, limit, prefix, explain = false } = asked;
  const fields = { ...query, match_type: matchType, threshold, limit, explain };
  if (prefix) fields.data_id_prefix = prefix;
  return request("POST", "images/search/", { fields, signal, onProgress });
}

/** Add {url} or {file}; the answer comes once it can be found, or after some seconds. */
export function add(picture, { dataId, remark }, signal, onProgress) {
  const fields = { ...picture };
  if (dataId) fields.data_id = dataId;
  if (remark) fields.remark = remark;
  return request("POST", `images/?wait=${ADD_WAIT_SECONDS}`, { fields, signal, onProgress });
}

/** A stored picture's bytes, as a file: videos are not searched by a picture's id. */
export async function imageFile(id, signal) {
  const response = await reach(fetch, `/media/images/${id}/original`, { signal });
  if (response.ok) return new File([await response.blob()], `picture-${id}`);
  throw await refusalOf(response);
}

/** Keep a small copy of the picture or clip {file}, `kind`: "images" or "videos": {token, ends_at}. */
export const share = (file, kind) => request("POST", `${kind}/shared/`, { fields: { file } });

/** The picture or clip of a shared search as a file, whose name says until when. */
export async function sharedFile(token, signal) {
  const path = `images/shared/${encodeURIComponent(token)}/`;
  const { picture, clip, ends_at: endsAt } = await request("GET", path, { signal });
  const [, type, data] = /^data:([^;]+);base64,(.*)$/.exec(picture ?? clip);
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  return new File([bytes], fill(gettext("Shared until %(time)s"), { time: moment(endsAt) }), { type });
}

export const video = (id) => request("GET", `videos/${id}/`, {});

/** Search the videos with {url} or {file}. `unsure`: uncertain results too. */
export function searchVideos(query, { limit, unsure }, signal, onProgress) {
  const fields = { ...query, limit };
  if (unsure) fields.min_confidence = 0;
  return request("POST", "videos/search/", { fields, signal, onProgress });
}

/** Add a video, {url} or {file}; the answer comes before it is indexed. */
export function addVideo(clip, { dataId, remark }, signal, onProgress) {
  const fields = { ...clip };
  if (dataId) fields.data_id = dataId;
  if (remark) fields.remark = remark;
  return request("POST", "videos/", { fields, signal, onProgress });
}

async function request(method, path, { fields, signal, onProgress }) {
  const headers = { Accept: "application/json" };
  let body;
  if (fields?.file) {
    body = new FormData();
    for (const [name, value] of Object.entries(fields)) body.append(name, value);
  } else if (fields) {
    body = JSON.stringify(fields);
    headers["Content-Type"] = "application/json";
  }
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  const options = { method, headers, body, signal, onProgress, credentials: "same-origin" };
  const response = await reach(fields?.file ? send : fetch, ROOT + path, options);
  if (!response.ok) throw await refusalOf(response);
  const answer = await response.json().catch(() => null);
  if (answer) return answer;
  throw new ApiError(response.status, unreadable(response));
}

async function refusalOf(response) {
  const answer = await response.json().catch(() => null);
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  return new ApiError(response.status, answer?.detail ? answer : unreadable(response), retryAfter);
}

async function reach(call, path, options) {
  try {
    return await call(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, {
      code: "unreachable",
      detail: gettext("The server did not answer. Check that it runs and that you are connected."),
    });
  }
}

function unreadable(response) {
  const detail = fill(gettext("The server answered %(status)s without saying why; its log will."), response);
  return { code: "unreadable", detail };
}

/** From the cookie, which another tab's sign-in renews; the page's own copy may be older. */
function csrfToken() {
  const cookie = document.cookie.split("; ").find((pair) => pair.startsWith("csrftoken="));
  return cookie?.slice("csrftoken=".length) ?? document.querySelector("meta[name=csrf-token]").content;
}

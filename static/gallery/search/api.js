/** Calls of the HTTP API. */

import { send } from "./upload.js";

const ROOT = "/api/v1/";
const ADD_WAIT_SECONDS = 10;

/** A refusal: `detail` is a sentence for people, `code` a word for programs. */
export class ApiError extends Error {
  constructor(status, { code = "unknown", detail, field, existing_id: existingId }) {
    super(detail);
    Object.assign(this, { status, code, field, existingId });
  }

  get needsSignIn() {
    return this.status === 401 || this.status === 403;
  }
}

export const status = (signal) => request("GET", "status/", { signal });

export const image = (id, signal) => request("GET", `images/${id}/`, { signal });

export const newest = (signal) => request("GET", "images/?status=ready&page_size=24", { signal });

/** Search with {id}, {url}, {text} or {file}. `explain`: have the matches drawn, which takes time. */
export function search(query, { matchType, threshold, limit, prefix, explain = false }, signal) {
  const fields = { ...query, match_type: matchType, threshold, limit, explain };
  if (prefix) fields.data_id_prefix = prefix;
  return request("POST", "images/search/", { fields, signal });
}

/** Add {url} or {file}; the answer comes once it can be found, or after some seconds. */
export function add(picture, { dataId, remark }, signal) {
  const fields = { ...picture };
  if (dataId) fields.data_id = dataId;
  if (remark) fields.remark = remark;
  return request("POST", `images/?wait=${ADD_WAIT_SECONDS}`, { fields, signal });
}

/** A stored picture's bytes, as a file: videos are not searched by a picture's id. */
export async function imageFile(id, signal) {
  const response = await reach(fetch, `/media/images/${id}/original`, { signal });
  if (response.ok) return new File([await response.blob()], `picture-${id}`);
  throw await refusalOf(response);
}

export const newestVideos = (signal) =>
  request("GET", "videos/?status=ready&page_size=24", { signal });

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
  return new ApiError(response.status, answer?.detail ? answer : unreadable(response));
}

async function reach(call, path, options) {
  try {
    return await call(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, {
      code: "unreachable",
      detail: "The server did not answer. Check that it runs and that you are connected.",
    });
  }
}

function unreadable(response) {
  const detail = `The server answered ${response.status} without saying why; its log will.`;
  return { code: "unreadable", detail };
}

/** From the cookie, which another tab's sign-in renews; the page's own copy may be older. */
function csrfToken() {
  const cookie = document.cookie.split("; ").find((pair) => pair.startsWith("csrftoken="));
  return cookie?.slice("csrftoken=".length) ?? document.querySelector("meta[name=csrf-token]").content;
}

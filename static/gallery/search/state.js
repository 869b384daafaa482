/**
 * The search as the address bar holds it.
 *
 * A state is {query, where, matchType, threshold, limit, prefix, unsure, sort, cursor}. A query is {id}, {url},
 * {text}, {shared} (the token of a shared upload), or {upload} (a key into this page's memory: a file
 * cannot be in an address), or null.
 * `where` is PICTURES or VIDEOS. matchType and threshold, which only pictures have, are null where
 * the server's defaults hold; `unsure`, which only videos have, asks for every result.
 * `cursor` is the page of what is stored, where there is no query.
 */

import { DEFAULT_ORDER } from "./sorting.js";

export const PICTURES = "pictures";
export const VIDEOS = "videos";

export const DEFAULT_LIMIT = 20;
export const MAX_LIMIT = 100;

export function parse(search, historyState) {
  const parameters = new URLSearchParams(search);
  return {
    query: parseQuery(parameters, historyState),
    where: parameters.get("in") === VIDEOS ? VIDEOS : PICTURES,
    matchType: parameters.get("match_type"),
    threshold: parseNumber(parameters.get("threshold")),
    limit: clampLimit(parseNumber(parameters.get("limit")) ?? DEFAULT_LIMIT),
    prefix: parameters.get("data_id_prefix") ?? "",
    unsure: parameters.get("unsure") === "1",
    sort: parameters.get("sort") ?? DEFAULT_ORDER,
    cursor: parameters.get("cursor"),
  };
}

export function serialise(state) {
  const { query, where, matchType, threshold, limit, prefix, unsure, sort, cursor } = state;
  const parameters = new URLSearchParams();
  for (const kind of ["id", "url", "text", "shared"]) {
    if (query?.[kind]) parameters.set(kind, query[kind]);
  }
  if (where === VIDEOS) parameters.set("in", VIDEOS);
  if (matchType) parameters.set("match_type", matchType);
  if (threshold !== null) parameters.set("threshold", threshold);
  if (limit !== DEFAULT_LIMIT) parameters.set("limit", limit);
  if (prefix) parameters.set("data_id_prefix", prefix);
  if (unsure) parameters.set("unsure", "1");
  if (sort !== DEFAULT_ORDER) parameters.set("sort", sort);
  if (cursor && !query) parameters.set("cursor", cursor);
  return parameters.size ? `?${parameters}` : location.pathname;
}

export const clampLimit = (number) => Math.min(MAX_LIMIT, Math.max(1, Math.round(number)));

function parseQuery(parameters, historyState) {
  const id = Number(parameters.get("id"));
  if (Number.isSafeInteger(id) && id > 0) return { id };
  for (const kind of ["url", "text", "shared"]) {
    if (parameters.get(kind)) return { [kind]: parameters.get(kind) };
  }
  return historyState?.upload ? { upload: historyState.upload } : null;
}

function parseNumber(text) {
  const number = Number(text || NaN);
  return Number.isFinite(number) && number >= 0 ? number : null;
}

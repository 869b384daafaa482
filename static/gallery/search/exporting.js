/** Results as files: JSON as the service sent them, CSV as the service writes it. */

import * as api from "./api.js";
import { make } from "./dom.js";

const OF_ITEM = ["id", "data_id", "remark", "url", "md5", "format", "width", "height", "bytes", "created_at", "file"];
const OF_PICTURE = ["distance", "confidence", "certainty"];
const OF_VIDEO = ["confidence", "start", "end", "query_start", "query_end", "speed", "mirrored"];

/** The table of found pictures, `matches` as the API sends them. */
export const pictureTable = (matches) => tableOf(matches, OF_PICTURE, ({ image }) => image);

/** The table of found videos, a row for each moment. */
export const videoTable = (hits) => tableOf(hits, OF_VIDEO, ({ video }) => video);

function tableOf(found, names, itemOf) {
  const rows = found.map((match) => [
    ...names.map((name) => match[name] ?? null),
    ...OF_ITEM.map((name) => itemOf(match)[name] ?? null),
  ]);
  return { columns: [...names, ...OF_ITEM], rows };
}

/** The service writes it, so that its rule about spreadsheets holds here as well. */
export async function saveCsv(name, table) {
  save(`${name}.csv`, await api.csvOf(table));
}

export function saveJson(name, data) {
  save(`${name}.json`, new Blob([JSON.stringify(data, null, 2)], { type: "application/json" }));
}

function save(download, blob) {
  const href = URL.createObjectURL(blob);
  make("a", { href, download }).click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

/** Where somebody was in the queue: its page, its filters and the row. A tab remembers it until it is closed. */

const KEY = "position in the queue";

/** The row `at` is opened. */
export function keepPosition(at) {
  sessionStorage.setItem(KEY, JSON.stringify({ at, search: location.search }));
}

/** On the same page of the queue: focus the row that is where the opened one was. */
export function returnToPosition(rows) {
  const kept = read();
  if (!kept || kept.search !== location.search || !rows.length) return;
  sessionStorage.removeItem(KEY);
  rows[Math.min(kept.at, rows.length - 1)].focus();
}

/** The address of the queue with these filters, at the page where it was left. */
export function queueAddress(path, query) {
  const kept = read();
  const left = new URLSearchParams(kept?.search ?? "");
  left.delete("p");
  return kept && left.toString() === new URLSearchParams(query).toString() ? path + kept.search : path + query;
}

function read() {
  return JSON.parse(sessionStorage.getItem(KEY) ?? "null");
}

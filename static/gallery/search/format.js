/** Numbers and texts as people read them, in the language of the page. */

const page = document.documentElement.lang;
const LANGUAGE = page === "en" ? "en-GB" : page;
const counts = new Intl.NumberFormat(LANGUAGE);

export const count = (number) => counts.format(number);

/** A translated text, with its %(placeholders)s replaced. */
export const fill = (text, values) => interpolate(text, values, true);

export function bytes(number) {
  if (number < 1000) return `${number} B`;
  if (number < 1e6) return `${Math.round(number / 1000)} kB`;
  if (number < 1e9) return `${(number / 1e6).toFixed(1)} MB`;
  return `${(number / 1e9).toFixed(1)} GB`;
}

/** A limit, rounded down: a file of this size is accepted. */
export function limit(number) {
  if (number < 1e6) return `${Math.floor(number / 1000)} kB`;
  return number < 1e9 ? `${Math.floor(number / 1e6)} MB` : `${Math.floor(number / 1e8) / 10} GB`;
}

/** The step of a slider up to `maximum`: whole bits for hashes, finer for small distances. */
export function stepOf(maximum) {
  if (maximum >= 10) return 1;
  return maximum >= 1 ? 0.01 : 0.001;
}

/** A threshold with as many digits as its slider has. */
export function threshold(number, maximum) {
  return number.toFixed({ 1: 0, 0.01: 2, 0.001: 3 }[stepOf(maximum)]);
}

/** A distance, one digit finer than the threshold; hashes differ by whole bits. */
export function distance(number, maximum) {
  return number.toFixed({ 1: 0, 0.01: 3, 0.001: 4 }[stepOf(maximum)]);
}

/**
 * A confidence in percent, rounded down near the top and at most 99.9: nothing is known to 100 %, and
 * one above 99.4 % is not called 99 %.
 */
export function percent(confidence) {
  if (confidence >= 0.999) return "99.9";
  // The subtraction 1 − distance leaves errors of about 1e-17.
  if (confidence >= 0.99) return String(Math.floor(1000 * confidence + 1e-9) / 10);
  return String(Math.round(100 * confidence));
}

/** Seconds as 4:05, or 1:04:05; with `digits` behind the point, 4:05.3. */
export function clock(seconds, digits = 0) {
  const scale = 10 ** digits;
  const units = Math.round(seconds * scale);
  const whole = Math.floor(units / scale);
  const hours = Math.floor(whole / 3600);
  const parts = [hours || null, Math.floor(whole / 60) % 60, whole % 60].filter((n) => n !== null);
  const text = parts.map((n, at) => (at ? String(n).padStart(2, "0") : n)).join(":");
  return digits ? `${text}.${String(units % scale).padStart(digits, "0")}` : text;
}

const moments = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" });

/** A day and a time, of the reader's own clock. */
export const moment = (time) => moments.format(new Date(time));

/** "JPEG · 1024 × 768 · 214 kB", for a video also its length; unknown parts are left out. */
export function file({ format, width, height, duration, bytes: size }) {
  const parts = [
    format?.toUpperCase(),
    width && `${width} × ${height}`,
    duration && clock(duration),
    size && bytes(size),
  ];
  return parts.filter(Boolean).join(" · ");
}

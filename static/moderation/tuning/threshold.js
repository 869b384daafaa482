// The line on the threshold page: dragged or moved by keys, with the numbers and pictures that
// belong to where it is. Without this script the form and ?t= do the same.

const page = document.querySelector("[data-threshold-page]");
const { end, current, whole, points } = JSON.parse(document.querySelector("#threshold-data").textContent);
const step = whole ? 1 : end / 60;
const handle = page.querySelector("[data-handle]");
const chart = page.querySelector("[data-chart] .marks");
const field = page.querySelector("[data-number]");
const part = page.querySelector("[data-preview-part]");
const WAIT = 250;

const rounded = (value) => (whole ? Math.round(value) : Number(value.toFixed(4)));
const inside = (value) => Math.min(end, Math.max(0, rounded(value)));
const text = (value) => String(rounded(value));
const place = (value) => `${(100 * value) / (end || 1)}%`;

const pointAt = (value) => points.findLast((point) => point.threshold <= value + 1e-9);

// As the server's filter ``percent`` writes it.
const percent = (share) => {
  const value = 100 * share;
  if ((value > 0 && value < 1) || (value > 99 && value < 100)) {
    return `${Math.min(99.9, Math.max(0.1, value)).toFixed(1)} %`;
  }
  return `${Math.round(value)} %`;
};

const inWords = (interval) => {
  if (!interval) return gettext("too few decisions");
  const [value, low, high] = interval.map(percent);
  return interpolate(gettext("%(value)s (%(low)s to %(high)s)"), { value, low, high }, true);
};

function showShare(name, interval) {
  const cell = page.querySelector(`[data-${name}]`);
  if (!interval) {
    const few = Object.assign(document.createElement("span"), { className: "few", textContent: gettext("too few") });
    cell.replaceChildren(few);
    return;
  }
  const value = Object.assign(document.createElement("strong"), { textContent: percent(interval[0]) });
  const range = Object.assign(document.createElement("small"), {
    textContent: `${percent(interval[1]).replace(" %", "")}–${percent(interval[2])}`,
  });
  cell.replaceChildren(value, " ", range);
}

let proposed = Number(handle.getAttribute("aria-valuenow"));

function show(value) {
  proposed = inside(value);
  const point = pointAt(proposed);
  const change = point.matched - pointAt(current).matched;
  handle.style.left = place(proposed);
  handle.classList.toggle("at-end", proposed > 0.8 * end);
  handle.setAttribute("aria-valuenow", proposed);
  handle.setAttribute(
    "aria-valuetext",
    interpolate(
      gettext("%(threshold)s: precision %(precision)s, recall up to the near-miss threshold %(recall)s"),
      { threshold: text(proposed), precision: inWords(point.precision), recall: inWords(point.recall) },
      true,
    ),
  );
  handle.querySelector("[data-handle-label]").textContent = text(proposed);
  page.querySelector("[data-proposed]").textContent = text(proposed);
  showShare("precision", point.precision);
  showShare("recall", point.recall);
  page.querySelector("[data-decided]").textContent = point.decided;
  page.querySelector("[data-added]").textContent = Math.max(0, change);
  page.querySelector("[data-dropped]").textContent = Math.max(0, -change);
}

let timer = 0;
let asked = 0;

async function fetchPreview() {
  const number = ++asked;
  const answer = await fetch(`${page.dataset.preview}?t=${proposed}`, { headers: { Accept: "text/html" } });
  const html = await answer.text();
  // A slow answer to an older question must not replace a newer one.
  if (!answer.ok || number !== asked) return;
  part.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  history.replaceState(null, "", `?t=${proposed}`);
}

function move(value) {
  if (inside(value) === proposed) return;
  show(value);
  if (field) field.value = proposed;
  clearTimeout(timer);
  timer = setTimeout(fetchPreview, WAIT);
}

const KEYS = {
  ArrowLeft: () => proposed - step,
  ArrowDown: () => proposed - step,
  ArrowRight: () => proposed + step,
  ArrowUp: () => proposed + step,
  PageDown: () => proposed - 10 * step,
  PageUp: () => proposed + 10 * step,
  Home: () => 0,
  End: () => end,
};

handle.addEventListener("keydown", (event) => {
  const key = KEYS[event.key];
  if (!key || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  move(key());
});

function follow(event) {
  const box = chart.getBoundingClientRect();
  move((end * (event.clientX - box.left)) / box.width);
}

page.querySelector("[data-chart]").addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  handle.focus({ preventScroll: true });
  handle.setPointerCapture(event.pointerId);
  handle.classList.add("dragged");
  follow(event);
});
handle.addEventListener("pointermove", (event) => {
  if (handle.hasPointerCapture(event.pointerId)) follow(event);
});
handle.addEventListener("lostpointercapture", () => handle.classList.remove("dragged"));

field?.addEventListener("input", () => {
  const value = Number(field.value);
  if (field.value === "" || !Number.isFinite(value) || value < 0 || value > end) return;
  show(value);
  clearTimeout(timer);
  timer = setTimeout(fetchPreview, WAIT);
});

for (const link of page.querySelectorAll("[data-suggest]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    move(Number(link.dataset.suggest));
  });
}

page.querySelector("[data-current]").style.left = place(current);
show(proposed);
page.classList.add("ready");

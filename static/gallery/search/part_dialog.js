/** Choosing a part of the query's picture, which is then searched with instead. */

import { byId } from "./dom.js";
import { fill } from "./format.js";

const LONGEST = 2048; // pixels of the part that is sent
const LEAST = 16; // pixels: in less there is nothing to compare
const NEAR = 24; // pixels of the screen: so near to a corner it is dragged
const STEP = 0.01; // of the picture, for each press of an arrow key
const FIRST = { left: 0.2, top: 0.2, right: 0.8, bottom: 0.8 };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const dialog = byId("part");
const picture = byId("part-picture");
const image = byId("part-image");
const boxNode = byId("part-box");

const within = (number) => Math.min(1, Math.max(0, number));

/** `onPart(file)` when a part was chosen. Returns `open(source, name)`. */
export function createPartDialog({ onPart }) {
  let box = FIRST; // shares of the picture
  let name = "";

  const pixels = () => ({
    width: Math.round((box.right - box.left) * image.naturalWidth),
    height: Math.round((box.bottom - box.top) * image.naturalHeight),
  });

  /** Corners in any order; the box stays within the picture. */
  function set({ left, top, right, bottom }) {
    const [xs, ys] = [[within(left), within(right)], [within(top), within(bottom)]];
    box = { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
    boxNode.style.left = `${100 * box.left}%`;
    boxNode.style.top = `${100 * box.top}%`;
    boxNode.style.width = `${100 * (box.right - box.left)}%`;
    boxNode.style.height = `${100 * (box.bottom - box.top)}%`;
    const { width, height } = pixels();
    byId("part-size").textContent = fill(gettext("%(part)s of %(whole)s"), {
      part: `${width} × ${height}`,
      whole: `${image.naturalWidth} × ${image.naturalHeight}`,
    });
    byId("part-search").disabled = width < LEAST || height < LEAST;
  }

  function moveBy(x, y) {
    const dx = Math.min(1 - box.right, Math.max(-box.left, x));
    const dy = Math.min(1 - box.bottom, Math.max(-box.top, y));
    set({ left: box.left + dx, right: box.right + dx, top: box.top + dy, bottom: box.bottom + dy });
  }

  picture.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    picture.setPointerCapture(event.pointerId);
    const drag = dragFrom(event);
    picture.onpointermove = (moved) => drag(shareAt(moved));
    boxNode.focus({ preventScroll: true });
  });
  for (const end of ["pointerup", "pointercancel"]) {
    picture.addEventListener(end, () => (picture.onpointermove = null));
  }

  /** What a drag from here does: it moves a corner, or the box, or begins another box. */
  function dragFrom(event) {
    const [x, y] = shareAt(event);
    const { width, height } = picture.getBoundingClientRect();
    const corners = [
      [box.left, box.top], [box.right, box.top], [box.left, box.bottom], [box.right, box.bottom],
    ];
    const corner = corners.find(([cx, cy]) => Math.hypot((cx - x) * width, (cy - y) * height) < NEAR);
    const isInside = x > box.left && x < box.right && y > box.top && y < box.bottom;
    if (!corner && isInside) {
      let [lastX, lastY] = [x, y];
      return ([toX, toY]) => {
        moveBy(toX - lastX, toY - lastY);
        [lastX, lastY] = [toX, toY];
      };
    }
    const [fixedX, fixedY] = corner
      ? [box.left + box.right - corner[0], box.top + box.bottom - corner[1]]
      : [x, y];
    return ([toX, toY]) => set({ left: fixedX, top: fixedY, right: toX, bottom: toY });
  }

  boxNode.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    const [x, y] = arrow.map((way) => way * STEP);
    if (!event.shiftKey) moveBy(x, y);
    else {
      const right = Math.max(box.left + STEP, box.right + x);
      const bottom = Math.max(box.top + STEP, box.bottom + y);
      set({ ...box, right, bottom });
    }
  });

  byId("part-close").addEventListener("click", () => dialog.close());
  byId("part-search").addEventListener("click", async () => {
    const file = await cut(box, pixels(), fill(gettext("part of %(name)s"), { name }));
    dialog.close();
    onPart(file);
  });

  return async function open(source, of) {
    name = of;
    image.src = source;
    await image.decode();
    dialog.showModal();
    set(FIRST);
    boxNode.focus();
  };
}

function shareAt({ clientX, clientY }) {
  const { left, top, width, height } = picture.getBoundingClientRect();
  return [within((clientX - left) / width), within((clientY - top) / height)];
}

/** The part as a file of its own. */
async function cut({ left, top }, { width, height }, name) {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const canvas = new OffscreenCanvas(Math.round(width * scale), Math.round(height * scale));
  const from = [left * image.naturalWidth, top * image.naturalHeight, width, height];
  canvas.getContext("2d").drawImage(image, ...from, 0, 0, canvas.width, canvas.height);
  const blob = await canvas.convertToBlob({ type: "image/png" });
  return new File([blob], name, { type: blob.type });
}

/** Ways to give a picture or a clip: drop, paste, choose, or type a link or words. */

import { byId, linkOf, operatorNote } from "./dom.js";
import { isClip } from "./media.js";

const LABEL = {
  link: [gettext("Link to a picture or a video"), "https://…"],
  words: [gettext("Link to a picture or a video, or words"), gettext("https://… or “red bicycle”")],
};

/**
 * Report what the user gives: `onFiles(files)`, `onText(text)`.
 * `dropHint(count)` is what the veil says while files hover over the page.
 */
export function createPicker({ onFiles, onText, dropHint }) {
  listenForDrops({ onFiles, onText, dropHint });
  listenForPastes({ onFiles, onText });
  const file = byId("file");
  const words = byId("words");
  const choose = () => file.click();
  byId("choose").addEventListener("click", choose);
  byId("change").addEventListener("click", choose);
  file.addEventListener("change", () => {
    if (file.files.length) onFiles([...file.files]);
    file.value = "";
  });
  byId("query").addEventListener("submit", (event) => {
    event.preventDefault();
    if (words.value.trim()) onText(words.value.trim());
    else words.focus();
  });
  words.addEventListener("input", () => showProblem(""));
  return {
    showProblem,
    set text(value) {
      words.value = value;
      showProblem("");
    },
    /** Whether words may be searched; the label promises no more than that. */
    set takesWords(value) {
      const [label, placeholder] = value ? LABEL.words : LABEL.link;
      byId("words-label").textContent = label;
      words.placeholder = placeholder;
    },
  };
}

/** `operator`: what only the operator can do about it. */
function showProblem(text, operator = "") {
  const words = byId("words");
  byId("words-problem").textContent = text;
  byId("words-operator").replaceChildren(operatorNote(operator));
  if (text) words.setAttribute("aria-invalid", "true");
  else words.removeAttribute("aria-invalid");
}

function listenForDrops({ onFiles, onText, dropHint }) {
  const veil = byId("drop-veil");
  let depth = 0; // dragenter and dragleave also fire for each element inside
  const carries = (event) =>
    ["Files", "text/uri-list"].some((type) => event.dataTransfer?.types.includes(type));
  const end = () => {
    depth = 0;
    veil.hidden = true;
  };
  window.addEventListener("dragenter", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth += 1;
    const files = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    byId("drop-veil-text").textContent = dropHint(files.length);
    veil.hidden = byId("add").open;
  });
  window.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  window.addEventListener("dragleave", () => {
    depth -= 1;
    if (depth <= 0) end();
  });
  window.addEventListener("drop", (event) => {
    end();
    if (!carries(event)) return;
    event.preventDefault();
    const { files } = event.dataTransfer;
    if (files.length) onFiles([...files]);
    else onText(event.dataTransfer.getData("text/uri-list").split(/\r?\n/)[0]);
  });
}

function listenForPastes({ onFiles, onText }) {
  window.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files].filter(
      (file) => file.type.startsWith("image/") || isClip(file),
    );
    if (files.length) {
      event.preventDefault();
      onFiles(files);
      return;
    }
    const typing = event.target.closest?.("input, textarea");
    const text = event.clipboardData.getData("text/plain").trim();
    if (!typing && !byId("add").open && linkOf(text)) onText(text);
  });
}

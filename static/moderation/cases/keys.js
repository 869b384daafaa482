/** Keys of a page, the list of them, and where they must not act. */

const TYPING = "input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable]";

/** Whether a key belongs to what has the focus, or to the browser. */
function isTaken(event) {
  return event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing
    || event.target.closest?.(TYPING) !== null;
}

/** Enter and Space stay with a control that they press; in a box only Space does something, in a video and a slider the arrows too. */
function pressesItself(event) {
  const buttons = "a, button, summary, [role=button]";
  const pressed = {
    Enter: `${buttons}, video`, " ": `${buttons}, input, video`,
    ...Object.fromEntries(["Left", "Right", "Up", "Down"].map((way) => [`Arrow${way}`, "video, [type=range]"])),
  };
  return event.key in pressed && event.target.closest?.(pressed[event.key]) !== null;
}

/**
 * Bind keys: `{key: action}`, `key` as `KeyboardEvent.key` says it ("A" is Shift and a).
 * While a dialog is open only those of `inDialog` act: `{key: action}` by `data-` name of the dialog.
 */
export function bind(keys, inDialog = {}) {
  document.addEventListener("keydown", (event) => {
    if (isTaken(event)) return;
    const dialog = document.querySelector("dialog[open]");
    if (dialog?.matches("[data-help]") && event.key === "?") {
      event.preventDefault();
      dialog.close();
      return;
    }
    const bound = dialog ? inDialog : keys;
    const action = event.key === "?" && !dialog ? openHelp : bound[event.key];
    if (!action || pressesItself(event)) return;
    event.preventDefault();
    action(event);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-open-help]")) openHelp();
  });
  document.documentElement.dataset.keys = "bound";
}

function openHelp() {
  document.querySelector("[data-help]").showModal();
}

// "/" opens the search over everything, as Ctrl-K does.
(() => {
  const TYPED_IN = "input, textarea, select, [contenteditable]";

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest?.(TYPED_IN) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    window.dispatchEvent(new CustomEvent("opencommand"));
  });
})();

/** The filters: each holds as soon as it is chosen; on small screens they are folded away. */

export function prepareFilters() {
  const box = document.querySelector("[data-filters]");
  if (!box) return;
  box.querySelector("[data-apply]").hidden = true;
  box.addEventListener("change", () => box.querySelector("form").requestSubmit());
  if (matchMedia("(max-width: 640px)").matches) box.open = false;
}

/** The filters: each applies as soon as it is selected; on small screens they are collapsed. */

export function prepareFilters() {
  const box = document.querySelector("[data-filters]");
  if (!box) return;
  box.querySelector("[data-apply]").hidden = true;
  box.addEventListener("change", () => box.querySelector("form").requestSubmit());
  if (matchMedia("(max-width: 640px)").matches) box.open = false;
}

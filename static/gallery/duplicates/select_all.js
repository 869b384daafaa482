// One box that ticks all clusters of the page.

const all = document.querySelector(".duplicate-all");
if (all) {
  const box = all.querySelector("input");
  const clusters = document.querySelectorAll('input[name="cluster"]');
  all.hidden = false;
  box.addEventListener("change", () => clusters.forEach((one) => { one.checked = box.checked; }));
}

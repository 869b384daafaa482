// Steps of the pictures, and keys, on the page of second opinions.

const page = document.querySelector(".second-opinions");
const steps = [...page.querySelectorAll("[data-step]")];
const looked = page.querySelector("[data-looked]");

function show(step) {
  for (const image of page.querySelectorAll("[data-media]")) image.src = image.dataset.media.replace("STEP", step);
  for (const button of steps) button.setAttribute("aria-pressed", String(button.dataset.step === step));
  if (step === "clear") looked.value = "1";
}

addEventListener("pagehide", () => show("blur"));

for (const button of steps) button.addEventListener("click", () => show(button.dataset.step));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (/^[1-4]$/.test(event.key) && steps[event.key - 1]) show(steps[event.key - 1].dataset.step);
  const verb = { c: "confirm", d: "dismiss" }[event.key];
  if (verb) page.querySelector(`button[value="${verb}"]`)?.click();
});

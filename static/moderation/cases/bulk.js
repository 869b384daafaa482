/** The page that asks once more: Enter does it, a digit chooses the reason, Escape goes back. */

import { bind } from "./keys.js";

const form = document.querySelector(".bulk-page");
const reason = form.elements.reason;

function pick(n) {
  return () => {
    if (n <= reason.options.length) reason.selectedIndex = n - 1;
  };
}

// The list of reasons has the focus at first: these keys are not typing there.
reason.addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    event.preventDefault();
    form.requestSubmit();
  } else if (/^[1-9]$/.test(event.key)) {
    event.preventDefault();
    pick(Number(event.key))();
  } else if (event.key === "Escape") {
    form.querySelector("[data-back]").click();
  }
});

bind({
  Enter: () => form.requestSubmit(),
  Escape: () => form.querySelector("[data-back]").click(),
  1: pick(1), 2: pick(2), 3: pick(3), 4: pick(4),
});

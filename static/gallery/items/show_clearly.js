/** Blurred pictures and videos: a button shows one clearly, which the server counts. Leaving the
 * page blurs it again, so that going back does not show it. */

"use strict";

{
  const REFUSED = "It cannot be shown clearly.";
  let looks = 0;

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-show-clearly]");
    if (!button) return;
    event.preventDefault();
    if (button.getAttribute("aria-pressed") === "true") blur(button);
    else show(button);
  });

  document.addEventListener("click", (event) => {
    const chosen = event.target.closest("[data-rendering]");
    if (chosen) render(chosen);
  });

  // What is kept for "back" is the page as it is now.
  addEventListener("pagehide", () => {
    for (const button of document.querySelectorAll("[data-show-clearly][aria-pressed=true]")) blur(button);
  });

  function show(button) {
    const media = mediaOf(button);
    const address = new URL(media.dataset.clear ?? media.dataset.blurredSrc ?? media.getAttribute("src"), location);
    address.searchParams.set("clear", "1");
    // A browser may show a picture again that a page had before; each look has its own address.
    address.searchParams.set("n", `${Date.now()}-${looks += 1}`);
    press(button, true);
    if (media instanceof HTMLVideoElement) play(button, media, address);
    else load(button, media, address);
  }

  /** Another rendering: blurred at first, too. */
  function render(chosen) {
    const place = chosen.closest("[data-renderings]");
    const img = place.querySelector(".picture img");
    const address = new URL(img.dataset.blurredSrc ?? img.getAttribute("src"), location);
    if (chosen.dataset.rendering) address.searchParams.set("rendering", chosen.dataset.rendering);
    else address.searchParams.delete("rendering");
    img.dataset.blurredSrc = address.pathname + address.search;
    for (const each of place.querySelectorAll("[data-rendering]")) {
      each.setAttribute("aria-pressed", String(each === chosen));
    }
    const button = place.querySelector("[data-show-clearly]");
    if (button) blur(button);
    else img.src = img.dataset.blurredSrc;
  }

  function load(button, img, address) {
    img.dataset.blurredSrc ??= img.getAttribute("src");
    img.onerror = () => refuse(button);
    img.src = address;
  }

  /** The look is noted by the first request, which leads to where the player may read any part. */
  async function play(button, video, address) {
    try {
      const noted = await fetch(address, { headers: { Range: "bytes=0-0" } });
      noted.body?.cancel();
      if (!noted.ok) throw new Error(noted.statusText);
      if (button.getAttribute("aria-pressed") !== "true") return;
      video.muted = true;
      video.src = noted.url;
      video.onerror = () => refuse(button);
      video.hidden = false;
      video.previousElementSibling.hidden = true;
      video.play().catch(() => {});
    } catch {
      refuse(button);
    }
  }

  function blur(button) {
    const media = mediaOf(button);
    media.onerror = null;
    press(button, false);
    if (media instanceof HTMLVideoElement) {
      media.pause();
      media.removeAttribute("src");
      media.load();
      media.hidden = true;
      media.previousElementSibling.hidden = false;
    } else {
      media.classList.add("covered");
      media.addEventListener("load", () => media.classList.remove("covered"), { once: true });
      media.src = media.dataset.blurredSrc;
    }
  }

  function refuse(button) {
    blur(button);
    button.title = REFUSED;
    button.setAttribute("aria-label", REFUSED);
    button.classList.add("refused");
  }

  function press(button, isClear) {
    button.setAttribute("aria-pressed", String(isClear));
    button.firstElementChild.textContent = isClear ? "visibility_off" : "visibility";
  }

  function mediaOf(button) {
    const place = button.closest("[data-blurred]");
    return place.querySelector("video") ?? place.querySelector("img");
  }
}

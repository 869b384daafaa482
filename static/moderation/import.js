// Asks how far an import is until it has finished; focus and scrolling stay where they are.

const EVERY = 2000;
const PART = "[data-import]";

const going = () => document.querySelector(PART).dataset.import === "going";

async function refresh() {
  // A server that starts anew does not answer for a moment.
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (answer?.ok) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = page.querySelector(PART);
    // Somebody who is logged out meanwhile gets the page for logging in.
    if (part === null) return location.reload();
    document.querySelector(PART).replaceWith(part);
  }
  if (going()) setTimeout(refresh, EVERY);
}

if (going()) setTimeout(refresh, EVERY);

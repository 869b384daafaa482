// Asks how far a scan is until it has finished.

const part = document.querySelector("[data-scan]");
const EVERY = 2000;

const unfinished = () => part.querySelector("[data-unfinished='1']") !== null;

async function refresh() {
  const answer = await fetch("?part=1", { headers: { Accept: "text/html" } });
  if (answer.ok) {
    const html = await answer.text();
    part.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  }
  if (unfinished()) setTimeout(refresh, EVERY);
}

if (unfinished()) setTimeout(refresh, EVERY);

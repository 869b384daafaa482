/** Requests to the console, and the one line that says what became of them. */

const SECONDS = 6;

let hiding = 0;

/** POST a form. Answers the JSON; throws an `Error` with the sentence of a refusal. */
export async function post(url, fields = {}) {
  const token = document.querySelector("input[name=csrfmiddlewaretoken]").value;
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      body: new URLSearchParams(fields),
      headers: { "X-CSRFToken": token, Accept: "application/json" },
    });
  } catch {
    throw new Error(gettext("The service cannot be reached. Nothing was changed."));
  }
  if (response.redirected) throw new Error(gettext("You are logged out. Load the page again."));
  if (response.status === 204) return null;
  const body = isJson(response) ? await response.json() : null;
  if (!response.ok) throw new Error(body?.detail ?? gettext("The service failed. Nothing was changed."));
  return body;
}

function isJson(response) {
  return (response.headers.get("Content-Type") ?? "").startsWith("application/json");
}

/**
 * Say something at the foot of the page, to screen readers too. It leaves by itself, but not from
 * under a finger or the focus. `undo`: what its button does, if it can be undone.
 */
export function say(text, bad = false, undo = null) {
  const toast = document.querySelector("[data-toast]");
  const line = toast.querySelector("[data-status]");
  const button = toast.querySelector("button");
  toast.classList.toggle("bad", bad);
  line.textContent = text;
  button.hidden = !undo;
  button.onclick = undo && (() => { leave(); undo(); });
  const leave = () => {
    line.textContent = "";
    button.hidden = true;
  };
  const wait = () => {
    if (toast.matches(":hover, :focus-within")) hiding = setTimeout(wait, 1000);
    else leave();
  };
  clearTimeout(hiding);
  hiding = setTimeout(wait, (bad ? 8 : SECONDS) * 1000);
}

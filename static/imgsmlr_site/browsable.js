// Forms that a browser cannot send by itself: PATCH, DELETE and JSON. All others are sent without this.
// An answer's page replaces this one in the same window, so nothing here is a name of the window.
(() => {
  const token = document.querySelector('meta[name="csrf-token"]').content;

  /** The fields that differ from what the page came with: the others are not sent. */
  function changes(form) {
    const given = new FormData(form);
    const sent = new FormData();
    const marker = form.querySelector('input[type="hidden"]:not([name="csrfmiddlewaretoken"])');
    sent.set(marker.name, marker.value);
    const names = new Set([...form.elements].filter(isChanged).map((control) => control.name));
    for (const name of names) {
      const all = given.getAll(name);
      if (all.length === 0) sent.append(name, "");
      for (const value of all) sent.append(name, value);
    }
    return sent;
  }

  function isChanged(control) {
    if (!control.name || control.type === "hidden") return false;
    if (control.type === "checkbox") return control.checked !== control.defaultChecked;
    if (control.tagName === "SELECT") return [...control.options].some((one) => one.selected !== one.defaultSelected);
    return control.value !== control.defaultValue;
  }

  function show(form, answer) {
    for (const place of form.querySelectorAll("[data-field]")) place.textContent = "";
    for (const control of form.elements) control.removeAttribute("aria-invalid");
    const name = (answer.field ?? "").split(".")[0];
    const control = name && form.querySelector(`[name="${CSS.escape(name)}"]:not([type="hidden"])`);
    const place = name && form.querySelector(`[data-field="${CSS.escape(name)}"]`);
    form.querySelector("[data-problem]").textContent = place ? "" : answer.detail;
    if (!place) return;
    place.textContent = answer.detail;
    control.setAttribute("aria-invalid", "true");
    control.focus();
  }

  /** Empty fields stay out of the address. They are there again when the reader comes back. */
  function leaveOut(form) {
    const blank = [...form.elements].filter((control) => control.name && control.value === "");
    for (const control of blank) control.disabled = true;
    addEventListener("pageshow", () => {
      for (const control of blank) control.disabled = false;
    });
  }

  /** Fields that belong into the address: they leave the form, which would send them in its body. */
  function setQuery(form) {
    const fields = [...form.querySelectorAll("[data-query] [name]")];
    if (fields.length === 0) return;
    const address = new URL(form.getAttribute("action"), location.href);
    for (const field of fields) {
      address.searchParams.delete(field.name);
      if (field.value !== "") address.searchParams.set(field.name, field.value);
      field.setAttribute("form", "none");
    }
    form.setAttribute("action", address.pathname + address.search);
  }

  async function send(form) {
    const { method } = form.dataset;
    const headers = { "X-CSRFToken": token, Accept: "application/json" };
    // A field may be called "action", as that of lists is.
    let address = form.getAttribute("action");
    let body;
    if ("json" in form.dataset) {
      body = form.querySelector("textarea").value;
      headers["Content-Type"] = "application/json";
      // The page of the answer takes the place of this one.
      if (method === "POST") headers.Accept = "text/html";
    } else if (method === "DELETE") {
      const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
      address += query.size ? `?${query}` : "";
    } else {
      body = changes(form);
    }
    const response = await fetch(address, { method, headers, body });
    if (headers.Accept === "text/html") {
      document.open();
      document.write(await response.text());
      document.close();
    } else if (response.ok) {
      location.assign(form.dataset.after ?? location.href);
    } else {
      show(form, await response.json());
    }
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const { method } = form.dataset;
    if (form.getAttribute("method") === "get") leaveOut(form);
    setQuery(form);
    if (!method || (method === "POST" && !("json" in form.dataset))) return;
    event.preventDefault();
    const question = event.submitter?.dataset.ask;
    if (question && !confirm(question)) return;
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    send(form)
      .catch(() => show(form, { detail: "The service did not answer. Try it again." }))
      .finally(() => {
        for (const button of buttons) button.disabled = false;
      });
  });
})();

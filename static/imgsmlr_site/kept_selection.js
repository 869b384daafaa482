// Lists with bulk actions: who comes back from the page that asks, by its button or by the
// browser's, finds the rows and the action chosen as they were. That page has the address of the
// list.

{
  const key = () => `selection ${location.pathname}${location.search}`;
  const boxesOf = (form) => [...form.querySelectorAll("input.action-select")];

  const keep = (form) => {
    const rows = boxesOf(form).filter((box) => box.checked).map((box) => box.value);
    const action = form.querySelector("select[name=action]")?.value;
    const across = form.querySelector("input.select-across")?.value === "1";
    sessionStorage.setItem(key(), JSON.stringify({ rows, action, across }));
  };

  const restore = (form, { rows, action, across }) => {
    const select = form.querySelector("select[name=action]");
    if (select === null) return;
    for (const box of boxesOf(form)) {
      if (box.checked !== rows.includes(box.value)) box.click();
    }
    if (across) form.querySelector(".actions .question a")?.click();
    select.value = action;
    // Alpine, which then shows the button, only hears of events.
    select.dispatchEvent(new Event("change", { bubbles: true }));
  };

  addEventListener("submit", ({ target }) => {
    if (target.id === "changelist-form") keep(target);
    // The page that asks is confirmed: what was chosen is dealt with.
    else if (target.method === "post") sessionStorage.removeItem(key());
  });

  addEventListener("pageshow", ({ persisted }) => {
    const form = document.getElementById("changelist-form");
    const kept = sessionStorage.getItem(key());
    if (form === null || kept === null) return;
    sessionStorage.removeItem(key());
    const [visit] = performance.getEntriesByType("navigation");
    const byLink = visit?.type === "navigate" && document.referrer === location.href;
    if (persisted || visit?.type === "back_forward" || byLink) restore(form, JSON.parse(kept));
  });
}

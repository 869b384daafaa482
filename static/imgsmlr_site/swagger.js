// What Swagger's page lacks: the system's theme, and forms that begin with their example.
(() => {
  // Its dark colours need a class.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const setTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", setTheme);
  setTheme();

  /**
   * Swagger fills in a form field by field: with made-up values, where a field has no example of its own.
   * Here a field has its value of the form's example, or is blank.
   */
  function fillForm(form, shapes) {
    const values = form.examples.Example.value;
    const shape = structuredClone(shapes[form.schema.$ref.split("/").pop()]);
    for (const [name, field] of Object.entries(shape.properties)) {
      if (name in values) field.example = values[name];
      else if (!("default" in field) && field.format !== "binary") field.example = blank(field);
    }
    form.schema = shape;
  }

  function blank(field) {
    if (field.type === "object") return {};
    return field.type === "array" ? [] : "";
  }

  function fillForms(spec) {
    for (const operations of Object.values(spec.paths ?? {})) {
      for (const operation of Object.values(operations)) {
        const form = operation.requestBody?.content["multipart/form-data"];
        if (form) fillForm(form, spec.components.schemas);
      }
    }
    return spec;
  }

  // Swagger ticks "Send empty value" for each field when it shows the form; only the reader does so here.
  const shown = new Set();
  function leaveBlankOut(setting) {
    const key = JSON.stringify([setting.pathMethod, setting.name]);
    if (shown.has(key)) return setting;
    shown.add(key);
    return { ...setting, value: false };
  }

  window.formsWithExamples = () => ({
    statePlugins: {
      spec: { wrapActions: { updateJsonSpec: (update) => (spec) => update(fillForms(spec)) } },
      oas3: { wrapActions: { setRequestBodyInclusion: (set) => (setting) => set(leaveBlankOut(setting)) } },
    },
  });
})();

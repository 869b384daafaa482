// A script of the theme writes the name of a chosen file into the first text field that it finds
// near the file input, which may be any field of the form. So no script hears of chosen files: the
// browser's own file input shows their names by itself.

addEventListener("change", (event) => {
  if (event.target.type === "file") event.stopImmediatePropagation();
}, true);

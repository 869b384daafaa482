// Django names the two filters of its selector by an icon that has no role to carry a name.

addEventListener("load", () => {
  for (const icon of document.querySelectorAll(".selector .search-label-icon")) {
    icon.setAttribute("role", "img");
  }
});

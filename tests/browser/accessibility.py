"""What axe, and a ruler, find wrong with a page: as it is, or in two widths and both themes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

from tests.browser.conftest import DESKTOP, PHONE

SERIOUS = ("serious", "critical")
LOOKS = ((PHONE, "dark", None), (DESKTOP, "light", None))
"""Size, theme, and the one rule to ask, or None for all. Each width and each theme comes once."""
FRAME_LOOKS = (*LOOKS, (PHONE, "light", "color-contrast"), (DESKTOP, "dark", "color-contrast"))
"""For one page of each frame, whose parts are seen in one width alone, such as the sidebar."""

# A colour that is still on its way to the other theme would be judged as it is then.
_STILL = """() => {
    const still = new CSSStyleSheet();
    still.replaceSync(
        "*, ::before, ::after { animation: none !important; transition: none !important; }"
    );
    document.adoptedStyleSheets = [still];
}"""

# axe reads the few colours of a page again for each element. As Unfold's are oklch(), that would
# be a third of its time.
_READ_COLOURS_ONCE = """() => {
    const { prototype } = axe.commons.color.Color, parse = prototype.parseString, known = new Map();
    prototype.parseString = function (text) {
        const seen = known.get(text);
        if (seen) return Object.assign(this, seen);
        parse.call(this, text);
        const { r, g, b, alpha } = this;
        known.set(text, { r, g, b, alpha });
        return this;
    };
}"""


def faults(page: Page, name: str, looks: Any = LOOKS, *, back: bool = True) -> set[str]:
    """What is found in each look. The page goes ``back`` to the first one, or stays in the last."""
    page.evaluate(_STILL)
    found = set()
    for size, theme, rule in looks:
        turn_to(page, size, theme)
        found |= {f"{size[0]} {theme} {fault}" for fault in serious(page, rule)}
        keep_picture(page, f"{name}-{size[0]}-{theme}")
        if beyond := too_wide(page):
            found.add(f"{size[0]} {theme}: {beyond} px too wide")
    if back:
        turn_to(page, *looks[0][:2])
    return found


def turn_to(page: Page, size: tuple[int, int], theme: Any) -> None:
    """Show a page that is open in another size and theme."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=theme)
    # The class is how Unfold's pages know.
    page.evaluate(
        "dark => document.documentElement.classList.toggle('dark', dark)", theme == "dark"
    )


def serious(page: Page, rule: str | None = None) -> list[str]:
    """Faults of serious or critical impact with the elements at fault; of one rule, or of all."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
        page.evaluate(_READ_COLOURS_ONCE)
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if rule is not None:
        options["runOnly"] = [rule]
    found = page.evaluate(
        """async ([options, impacts]) => (await axe.run(options)).violations
            .filter(({ impact }) => impacts.includes(impact))
            .map(({ id, nodes }) => [id, nodes.slice(0, 4).map((node) => node.target)])""",
        [options, list(SERIOUS)],
    )
    return [f"{fault}: {targets}" for fault, targets in found]


def too_wide(page: Page) -> int:
    """Pixels that stick out of the window to the right."""
    return max(0, page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def sticking_out(page: Page, selector: str) -> list[str]:
    """Texts of the elements whose content is wider than they are."""
    found: list[str] = page.evaluate(
        """selector => [...document.querySelectorAll(selector)].filter(
            (one) => one.scrollWidth > one.clientWidth).map((one) => one.innerText)""",
        selector,
    )
    return found


def fits(page: Page, name: str) -> None:
    """The page is no wider than the window, on a desktop and on a phone, where it stays.

    Pictures of it are kept where SCREENSHOTS says.
    """
    for width, height in (DESKTOP, PHONE):
        page.set_viewport_size({"width": width, "height": height})
        keep_picture(page, f"{name}-{width}")
        assert too_wide(page) == 0, f"{name}, {width} px"


def keep_picture(page: Page, name: str) -> None:
    if directory := os.environ.get("SCREENSHOTS"):
        file = f"{name.strip('/').replace('/', '-').replace(' ', '-') or 'first'}.png"
        page.screenshot(path=Path(directory, file), full_page=True)

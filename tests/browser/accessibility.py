"""What axe, and a ruler, find wrong with a page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

SERIOUS = ("serious", "critical")


def serious(page: Page, rule: str | None = None) -> list[str]:
    """Faults of serious or critical impact with the elements at fault; of one rule, or of all."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
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


def fits(page: Page, name: str) -> None:
    """The page is no wider than the window. A picture of it is kept where SCREENSHOTS says."""
    keep_picture(page, name)
    assert too_wide(page) == 0, name


def keep_picture(page: Page, name: str) -> None:
    if directory := os.environ.get("SCREENSHOTS"):
        file = f"{name.strip('/').replace('/', '-').replace(' ', '-') or 'first'}.png"
        page.screenshot(path=Path(directory, file), full_page=True)

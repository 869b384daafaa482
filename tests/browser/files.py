"""Choose files as a person does."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page


def choose(page: Page, *files: tuple[str, bytes]) -> None:
    """Choose files. No other field may get a value from that."""
    before = values(page)
    page.locator("input[type=file]").set_input_files(
        [
            {"name": name, "mimeType": "application/octet-stream", "buffer": data}
            for name, data in files
        ]
    )
    assert values(page) == before


def values(page: Page) -> Any:
    return page.evaluate(
        """[...document.querySelectorAll(
            "#content :is(input:not([type=file]), textarea, select)")].map(
            (field) => [field.name, field.value, field.getAttribute("value")])"""
    )

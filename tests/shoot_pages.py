"""``python -m tests.shoot_pages``: a picture of each page, at three widths and in both themes.

Starts a service of its own with what ``tests/shown_service.py`` makes and a row of each kind, and
writes to ``docs/img/all``, which git ignores. ``--only REGEX`` shoots the pages whose name or
address fits, ``--language zh-CN`` those that a browser of this language gets. ``--docs`` makes the
pictures of README and docs again instead, in ``docs/img``.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "img" / "all"
WIDTHS = {390: 844, 1280: 900, 1920: 1080}
"""Width → height of the window."""
TALLEST = 3000
"""Pixels of a page that are kept."""
THEMES = ("light", "dark")
ALSO = ("/imgsmlr/", "/api/docs/", "/api/v1/")
"""Pages that the table of access, which names the others, leaves out."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.shoot_pages", description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX")
    parser.add_argument("--language", default="en", metavar="CODE")
    parser.add_argument("--width", type=int, choices=WIDTHS, action="append")
    parser.add_argument("--docs", action="store_true", help="those of README and docs instead")
    options = parser.parse_args()
    data_dir = Path(tempfile.mkdtemp(prefix="imgsmlr-shots-", dir="/tmp"))
    # PostgreSQL runs as another user if this is root; it must be able to enter.
    data_dir.chmod(0o755)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings",
        "DATA_DIR": str(data_dir),
        "DATABASE_URL": "",
        "SECRET_KEY": "shots",
        "CLIP_PRETRAINED": "none",
        "SECOND_FACTOR": "none",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
    }
    django.setup()
    try:
        shoot(data_dir, options)
    finally:
        shutil.rmtree(data_dir)


def shoot(data_dir: Path, options: argparse.Namespace) -> None:
    from django.conf import settings
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import BROWSERS
    from tests.chaos.service import Service
    from tests.service import free_port

    # From the settings: what is imported above changes the environment.
    secret = settings.SECRET_KEY
    service = Service(
        data_dir, free_port(), OPEN_API="", SECRET_KEY=secret, SECOND_FACTOR="none", NOTICE_FORM="1"
    )
    try:
        service.wait_up(300)
        shown = fill(service.url)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=next(path for path in BROWSERS if path.exists()),
                args=["--no-sandbox", "--disable-gpu"],
            )
            context = browser.new_context(base_url=service.url, locale=options.language)
            context.add_cookies([shown.cookie])
            page = context.new_page()
            if options.docs:
                shoot_docs(page, shown, options.only)
            else:
                shoot_all(page, shown, options.only, options.width or [*WIDTHS])
            browser.close()
    finally:
        service.stop()


@dataclass(frozen=True)
class Shown:
    """A filled service. ``cookie``: of an administrator. ``paths``: name → path of some pages."""

    url: str
    cookie: Any
    paths: Mapping[str, str]


def fill(url: str) -> Shown:
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from imgsmlr_site.models import ApiKey, Scope
    from tests import shown_service
    from tests.browser.conftest import session_of

    root = User.objects.create_superuser("root")
    _, key = ApiKey.issue(name="shop", scopes=Scope.values, user=root)
    call_command("demo", site=url, key=key)
    lead = shown_service.people()
    shown_service.gallery()
    paths = {**shown_service.cases(lead), **shown_service.reports(lead)}
    return Shown(url, session_of(root, url), paths)


def shoot_all(page: Any, shown: Shown, only: str, widths: list[int]) -> None:
    from tests import shown_service
    from tests.site.access_cells import World, asks

    found = {**shown.paths, **shown_service.lists()}
    world = World()
    asked = [ask.path for ask in asks(world) if ask.method == "GET" and ask.own is None]
    others = dict.fromkeys([*ALSO, *asked])
    for path in pages(shown.url, shown.cookie, others):
        found[path.strip("/").replace("/", "-") or "first"] = path
    for name, path in found.items():
        if re.search(only, name) or re.search(only, path):
            take(page, name.replace(" ", "-"), path, widths)


def pages(url: str, cookie: Any, paths: Any) -> Iterator[str]:
    """Yield the addresses that answer with a page."""
    import requests

    headers = {"Accept": "text/html"}
    cookies = {cookie["name"]: cookie["value"]}
    for path in paths:
        if path.startswith("/enter/"):
            continue
        answer = requests.get(
            url + path, headers=headers, cookies=cookies, allow_redirects=False, timeout=60
        )
        kind = answer.headers.get("Content-Type", "")
        if answer.status_code == 200 and kind.startswith("text/html"):
            yield path


def take(page: Any, name: str, path: str, widths: list[int]) -> None:
    """Keep a picture for each width and theme."""
    page.goto(path, wait_until="networkidle")
    page.wait_for_function("() => !document.querySelector('.swagger-ui .loading-container')")
    for width in widths:
        page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        high = page.evaluate("document.documentElement.scrollHeight")
        # In a window of its height, what is fixed to an edge of the window is at that of the page.
        page.set_viewport_size({"width": width, "height": min(high, TALLEST)})
        for theme in THEMES:
            show_in(page, theme)
            page.screenshot(path=TARGET / f"{width}-{theme}" / f"{name}.png")
    print(name, path, flush=True)


def show_in(page: Any, theme: str) -> None:
    page.emulate_media(color_scheme=theme)
    # The class is how Unfold's pages know.
    page.evaluate(
        "dark => document.documentElement.classList.toggle('dark', dark)", theme == "dark"
    )


# --- README and docs ------------------------------------------------------------------------------

# Those further down are loaded when they are scrolled to.
LOADED = """() => [...document.images].every((image) => image.complete || !image.checkVisibility()
    || image.getBoundingClientRect().top > innerHeight)"""
DESKTOP, PHONE = (1280, 900), (390, 844)


def shoot_docs(page: Any, shown: Shown, only: str) -> None:
    """Write the pictures that README and docs show."""
    queries = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        for name, (path, size, theme, steps) in docs_pictures(shown, queries).items():
            if not re.search(only, name):
                continue
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.goto(path, wait_until="networkidle")
            show_in(page, theme)
            steps(page)
            page.wait_for_load_state("networkidle")
            page.wait_for_function(LOADED)
            page.wait_for_timeout(500)  # movements end
            page.screenshot(path=ROOT / "docs" / "img" / f"{name}.png")
            print(name, flush=True)
    finally:
        shutil.rmtree(queries)


def docs_pictures(
    shown: Shown, queries: Path
) -> dict[str, tuple[str, Any, str, Callable[..., Any]]]:
    """Return name → path, size, theme, and what is done on the page before."""
    from tests import factories, shown_service
    from tests.browser import console

    queue, search = shown_service.CONSOLE, "/imgsmlr/"
    painted = factories.wheel_photo("coffee.png", 512).convert("RGB")
    painted.paste((220, 30, 30), (60, 60, 200, 160))
    (queries / "painted.png").write_bytes(factories.png(painted.crop((20, 20, 480, 330))))
    (queries / "seen somewhere.mp4").write_bytes(shown_service.clip())

    def searched(name: str) -> Callable[[Any], None]:
        def steps(page: Any) -> None:
            page.set_input_files("#file", queries / name)
            page.locator("#preview-name", has_text=name).wait_for()
            page.locator("#results:not([aria-busy]) #results-title").wait_for()

        return steps

    def results_on_top(name: str) -> Callable[[Any], None]:
        def steps(page: Any) -> None:
            searched(name)(page)
            page.locator("#results").evaluate("results => results.scrollIntoView()")

        return steps

    def pressed(*keys: str) -> Callable[[Any], None]:
        def steps(page: Any) -> None:
            page.wait_for_function("() => document.documentElement.dataset.keys === 'bound'")
            for key in keys:
                page.keyboard.press(key)
                page.wait_for_load_state("networkidle")

        return steps

    def compared(view: str) -> Callable[[Any], None]:
        def steps(page: Any) -> None:
            page.get_by_role("button", name="Line drawing", exact=True).click()
            console.shown(page, "lines")
            page.wait_for_timeout(500)  # until they are laid on each other
            page.get_by_role("button", name=view, exact=True).click()

        return steps

    def nothing(page: Any) -> None:
        return

    return {
        "search-desktop": (search, DESKTOP, "light", searched("painted.png")),
        "search-phone": (search, PHONE, "dark", results_on_top("painted.png")),
        "search-video-desktop": (search, DESKTOP, "light", searched("seen somewhere.mp4")),
        "search-video-phone": (search, PHONE, "light", results_on_top("seen somewhere.mp4")),
        "console-queue": (queue, DESKTOP, "light", nothing),
        "console-case": (shown.paths["case"], DESKTOP, "light", compared("Side by side")),
        "console-difference": (shown.paths["case"], DESKTOP, "light", compared("Difference")),
        "console-case-phone": (shown.paths["case"], PHONE, "dark", compared("Side by side")),
        "console-grid": (
            f"{queue}grid/", DESKTOP, "light", pressed("Space", "ArrowRight", "Space"),
        ),
        "console-bulk": (f"{queue}grid/", DESKTOP, "light", pressed("a", "d")),
        "thresholds-desktop": (shown.paths["threshold"], (1280, 1500), "light", nothing),
        "admin-images": ("/admin/gallery/image/", DESKTOP, "light", nothing),
        "admin-dashboard": ("/admin/", DESKTOP, "light", nothing),
    }  # fmt: skip


if __name__ == "__main__":
    main()

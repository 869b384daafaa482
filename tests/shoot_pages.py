"""``python -m tests.shoot_pages``: a picture of each page, at three widths and in both themes.

Starts a service of its own with the demo data and a row of each kind, and writes to
``docs/img/all``, which git ignores. ``--only REGEX`` shoots the pages whose address fits,
``--language zh-CN`` those that a browser of this language gets.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "img" / "all"
WIDTHS = {390: 844, 1280: 900, 1920: 1080}
"""Width → height of the window."""
THEMES = ("light", "dark")
ALSO = ("/imgsmlr/", "/api/docs/", "/api/v1/")
"""Pages that the table of access, which names the others, leaves out."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.shoot_pages", description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX")
    parser.add_argument("--language", default="en", metavar="CODE")
    parser.add_argument("--width", type=int, choices=WIDTHS, action="append")
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
        shoot(data_dir, options.only, options.width or [*WIDTHS], options.language)
    finally:
        shutil.rmtree(data_dir)


def shoot(data_dir: Path, only: str, widths: list[int], language: str) -> None:
    from django.conf import settings
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import BROWSERS
    from tests.chaos.service import Service
    from tests.service import free_port

    # From the settings: what is imported above changes the environment.
    secret = settings.SECRET_KEY
    service = Service(data_dir, free_port(), OPEN_API="", SECRET_KEY=secret, SECOND_FACTOR="none")
    try:
        service.wait_up(300)
        cookie, paths = fill(service.url)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=next(path for path in BROWSERS if path.exists()),
                args=["--no-sandbox", "--disable-gpu"],
            )
            context = browser.new_context(base_url=service.url, locale=language)
            context.add_cookies([cookie])
            page = context.new_page()
            for path in paths:
                if re.search(only, path):
                    take(page, path, widths)
            browser.close()
    finally:
        service.stop()


def fill(url: str) -> tuple[Any, list[str]]:
    """Fill the service. Return the cookie of an administrator, and the addresses of all pages."""
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from imgsmlr_site.models import ApiKey, Scope
    from tests.browser.conftest import session_of
    from tests.site.access_cells import World, asks

    root = User.objects.create_superuser("root")
    _, key = ApiKey.issue(name="shots", scopes=Scope.values, user=root)
    call_command("demo", site=url, key=key)
    world = World()
    cookie = session_of(root, url)
    asked = [ask.path for ask in asks(world) if ask.method == "GET" and ask.own is None]
    return cookie, [*pages(url, cookie, dict.fromkeys([*ALSO, *asked]))]


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


def take(page: Any, path: str, widths: list[int]) -> None:
    """Keep a picture for each width and theme."""
    name = path.strip("/").replace("/", "-") or "first"
    page.goto(path, wait_until="networkidle")
    for width in widths:
        page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            # The class is how Unfold's pages know.
            page.evaluate(
                "dark => document.documentElement.classList.toggle('dark', dark)", theme == "dark"
            )
            page.screenshot(path=TARGET / f"{width}-{theme}" / f"{name}.png", full_page=True)
    print(path)


if __name__ == "__main__":
    main()

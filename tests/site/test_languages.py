"""Who is answered in which language."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils.translation import get_language

from imgsmlr_site.env import LOOPBACK

pytestmark = pytest.mark.django_db
CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
BROWSER = {"Accept": "text/html,*/*;q=0.8", **CHINESE}


def test_pages_are_in_the_language_of_the_browser_or_the_chosen_one(client: Client) -> None:
    page = client.get("/imgsmlr/", headers=BROWSER)
    assert '<html lang="zh-hans" dir="ltr">' in page.text
    assert "登录" in page.text
    assert page["Content-Language"] == "zh-hans"
    assert {"Accept-Language", "Cookie"} <= set(page["Vary"].split(", "))
    assert 'lang="zh-hans"' in client.get("/admin/login/", headers=CHINESE).text
    missing = client.get("/nothing", headers=BROWSER)
    assert missing.status_code == 404
    assert 'lang="zh-hans"' in missing.text
    assert get_language() == "en", "the thread goes on with other work"

    chosen = client.post("/language/", {"language": "en", "next": "/imgsmlr/?id=3"})
    assert chosen["Location"] == "/imgsmlr/?id=3"
    page = client.get("/imgsmlr/", headers=BROWSER)
    assert '<html lang="en" dir="ltr">' in page.text
    assert "Sign in" in page.text
    elsewhere = client.post("/language/", {"language": "zh-hans", "next": "https://example.com/"})
    assert elsewhere["Location"] == "/"
    assert 'lang="zh-hans"' in client.get("/imgsmlr/", headers={"Accept": "text/html"}).text


def test_other_languages_get_english(client: Client) -> None:
    headers = {"Accept": "text/html", "Accept-Language": "fr"}
    assert '<html lang="en" dir="ltr">' in client.get("/imgsmlr/", headers=headers).text


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/json"])
def test_apis_are_english(client: Client, settings: Any, accept: str) -> None:
    settings.OPEN_API = LOOPBACK
    client.cookies["django_language"] = "zh-hans"
    headers = {**CHINESE, "Accept": accept}
    asks = [
        ("/api/v1/images/search/", {}),
        ("/api/v1/images/999/", None),
        ("/api/v1/images/?page_size=0", None),
        ("/api/v1/nothing/", None),
        ("/api/", None),
        ("/imgsmlr/search", {}),
        ("/imgsmlr/mgr/add", {}),
        ("/healthz", None),
    ]
    if accept != "text/html":
        asks.append(("/nothing", None))
    for path, body in asks:
        if body is None:
            answer = client.get(path, headers=headers)
        else:
            answer = client.post(path, body, "application/json", headers=headers)
        # The error page lets people choose, whatever its own language is.
        text = answer.text.replace("简体中文", "")
        assert not [letter for letter in text if "\u4e00" <= letter <= "\u9fff"], path
    assert client.get("/api/", headers=headers).headers.get("Content-Language", "en") == "en"


def test_texts_of_scripts(client: Client) -> None:
    page = client.get("/imgsmlr/", headers=BROWSER).text
    address = page.partition('<script src="')[2].partition('"')[0]
    assert address.startswith("/texts/zh-hans.js?v=")
    script = client.get(address, headers=CHINESE)
    assert script["Content-Type"] == "text/javascript; charset=utf-8"
    assert "immutable" in script["Cache-Control"]
    assert "Vary" not in script or "Cookie" not in script["Vary"]
    assert "no-cache" in client.get("/texts/en.js?v=old")["Cache-Control"]
    assert client.get("/texts/tlh.js").status_code == 404

"""Confirmation pages of the admin, as a browser goes through them."""

from __future__ import annotations

from typing import Any

from django.test import Client


def shown(client: Client, url: str, data: dict[str, Any]) -> Any:
    """The page that says what would be done."""
    page = client.post(url, data)
    assert page.status_code == 200 and "token" in page.context, page
    return page


def undo(client: Client, address: str, page: Any = None, reason: str = "because") -> Any:
    """Undo what the page of a batch shows (now, if it is not given)."""
    page = page or client.get(address)
    fields = {"confirmed": page.context["token"], "reason": reason}
    return client.post(address, fields, follow=True)


def confirm(client: Client, url: str, data: dict[str, Any], page: Any = None, **given: Any) -> Any:
    """Click on a page that was ``shown`` (now, if it is not given), with what is filled in.

    Where nothing would be done there is no such page: then it is what was answered.
    """
    page = page or client.post(url, data, follow=True)
    if "token" not in (page.context or {}):
        return page
    fields = {"reason": "because", **given}
    return client.post(url, {**data, "confirmed": page.context["token"], **fields}, follow=True)

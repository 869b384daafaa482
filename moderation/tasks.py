"""What the workers run: each task takes ids and makes one call of a service."""

from __future__ import annotations

from gallery.items import originals
from gallery.items.models import Image
from moderation.imports import start
from moderation.lists import banned_hashes, item_changing
from moderation.pipeline import (
    check,
    flood,
    near_checks,
    rescan,
)
from moderation.webhooks import delivery


def run_import(import_id: int) -> str:
    """Lists cluster: an import that was started or confirmed."""
    return start.run_in_background(import_id)


def pick_up_imports() -> int:
    """Every few minutes: abandoned imports."""
    return start.pick_up()


def send_webhooks() -> int:
    """Every minute and on news: messages that are due."""
    return delivery.send_due()


def clean_up_webhooks() -> int:
    """Daily: old settled messages."""
    return delivery.clean_up()


def scan(scan_id: int) -> bool:
    """Lists cluster: a rescan of what is stored."""
    return rescan.run(scan_id)


def sweep() -> int:
    """Lists cluster, every minute: rescans whose worker ended."""
    return rescan.run_left_over()


def refresh_hash_index() -> int:
    """Light cluster, when due and every ten minutes: this machine's index of hashes."""
    return banned_hashes.refresh()


def suspend_flooding(item_id: int) -> bool:
    """Light cluster: an item that matches too much."""
    return flood.suspend_flooding(item_id) is not None


def forget_originals() -> int:
    """Light cluster, daily: originals that are not to be stored and no case needs."""
    return originals.forget_originals()


def forget_answers() -> int:
    """Light cluster, daily: answers to checks and near checks older than a day."""
    return check.forget_answers() + near_checks.forget()


def screen_again(sha256: list[str]) -> int:
    """Lists cluster: files that an allow list let through until now."""
    return rescan.screen_allowed(sha256)


def screen_images(ids: list[int]) -> int:
    """Lists cluster: images of which more pictures are known than when they were screened."""
    return sum(rescan.screen_again(Image, pk) is not None for pk in ids)


def retire_expired() -> int:
    """Lists cluster, every few minutes: entries of allow lists whose time is over."""
    return item_changing.retire_expired()

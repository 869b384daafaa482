"""Tasks for the workers. Each takes ids and makes one call of a service."""

from __future__ import annotations

from gallery.items import originals
from moderation.cases import retention
from moderation.drill import running as drill
from moderation.exchanges import feedback, pulling
from moderation.imports import start
from moderation.lists import index_refresh, item_changing, item_pictures
from moderation.pipeline import (
    check,
    flood,
    near_checks,
    rescan,
    rescreening,
)
from moderation.reports import notices
from moderation.webhooks import delivery


def run_import(import_id: int) -> str:
    """Lists cluster: run an import that was started or confirmed."""
    state = start.run_in_background(import_id)
    pulling.follow(import_id)
    return state


def pick_up_imports() -> int:
    """Every few minutes: resume abandoned imports."""
    return start.pick_up()


def pull_exchanges() -> int:
    """Every minute: send feedback to hash exchanges, and pull from those that are due."""
    feedback.send_due()
    return pulling.pull_due()


def send_webhooks() -> int:
    """Every minute and after new messages: send the messages that are due."""
    return delivery.send_due()


def clean_up_webhooks() -> int:
    """Daily: delete old messages that were delivered or given up."""
    return delivery.clean_up()


def scan(scan_id: int) -> bool:
    """Lists cluster: rescan what is stored."""
    return rescan.run(scan_id)


def sweep() -> int:
    """Lists cluster, every minute: resume rescans and screenings whose worker ended."""
    return rescan.run_left_over() + rescreening.run()


def refresh_hash_index() -> int:
    """Light cluster when due, and lists cluster of each host every ten minutes: refresh this
    machine's index files."""
    return index_refresh.refresh()


def enlarge_pictures(item_ids: list[int]) -> int:
    """Lists cluster: make the pictures of items that were added from stored descriptors."""
    return item_pictures.enlarge(item_ids)


def suspend_flooding(item_id: int) -> bool:
    """Light cluster: suspend an item that matches too much."""
    return flood.suspend_flooding(item_id) is not None


def forget_originals() -> int:
    """Light cluster, daily: delete originals that are not to be stored and that no case needs."""
    return originals.forget_originals()


def forget_answers() -> int:
    """Light cluster, daily: delete answers to checks and near checks older than a day."""
    return check.forget_answers() + near_checks.forget()


def screen_again(sha256: list[str]) -> int:
    """Lists cluster: screen files again that an allow list no longer covers."""
    return rescreening.screen_allowed(sha256)


def screen_waiting() -> int:
    """Lists cluster: screen stored items again, such as those of which more pictures are known."""
    return rescreening.run()


def retire_expired() -> int:
    """Lists cluster, every few minutes: remove expired entries of allow lists."""
    return item_changing.retire_expired()


def delete_expired_pictures() -> int:
    """Light cluster, daily: delete the pictures of cases decided ``QUARANTINE_DAYS`` ago."""
    return retention.delete_expired_pictures()


def start_drill() -> bool:
    """Lists cluster, daily: add the copies of the drill."""
    return drill.start_if_due()


def finish_drill() -> bool:
    """Lists cluster, every five minutes: end a drill whose copies were screened."""
    return drill.finish() is not None


def search_again_for_notice(notice_id: int) -> int:
    """Lists cluster: open cases for copies of a confirmed picture that came since its notice."""
    return notices.search_again(notice_id)


def send_overdue_notices() -> int:
    """Lists cluster, every few minutes: tell webhooks of notices whose 48 hours are over."""
    return notices.send_overdue()


def delete_contacts_of_notices() -> int:
    """Light cluster, daily: delete who sent notices that were closed long ago."""
    return notices.delete_contacts()

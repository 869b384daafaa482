"""Looking again at links that are handed out: whether they still hold the picture that was added.

Only images known by their link alone are looked at; of others we have a copy. A link whose content
has changed makes its image stale, and what is there now must pass ``settings.LINK_GATES``, else the
image is quarantined: nobody is led there by a search.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from gallery.items import conf
from gallery.items.item import Status
from gallery.items.models import Image, LinkCheck
from gallery.items.preprocessing import FETCH_THREADS, Hashes
from gallery.items.signals import notify_changed
from gallery.net.fetching import Fetched, FetchFailed, fetch

RUNS_AN_HOUR = 12
"""As the schedule has it."""

OF_ONE_HOST = 20
"""Links of one host in one run: no host is to feel it."""

CANDIDATES = 10
"""Times as many due links are looked at as are taken, so that one host does not keep others out."""

NOT_MODIFIED = 304
GONE = frozenset({404, 410})
LINKS = "links"
"""The actor of what this does."""

LinkGate = Callable[[Image, bytes], bool]
Kind = Literal["same", "changed", "gone", "failed"]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Seen:
    """What a link held; ``fetched`` unless it was not modified or not there."""

    kind: Kind
    fetched: Fetched | None = None


def check_links() -> Counter[Kind]:
    """Look at the links that are due, at most as many as ``RECHECK_LINKS_HOURLY`` allows now.

    Answers how many held what.
    """
    if not settings.RECHECK_LINKS_DAYS:
        return Counter()
    checks = _claim_due()
    counts: Counter[Kind] = Counter()
    with ThreadPoolExecutor(FETCH_THREADS) as pool:
        # A few at a time: a pool that runs ahead would hold many files in memory.
        for start in range(0, len(checks), FETCH_THREADS):
            some = checks[start : start + FETCH_THREADS]
            for check, seen in zip(some, pool.map(_look, some), strict=True):
                _take_in(check, seen)
                counts[seen.kind] += 1
    return counts


def _claim_due() -> list[LinkCheck]:
    """The checks to be made now, noted as made: of two workers each takes its own, and a file that
    ends a worker keeps no other waiting."""
    before = timezone.now() - timedelta(days=settings.RECHECK_LINKS_DAYS)
    most = max(1, settings.RECHECK_LINKS_HOURLY // RUNS_AN_HOUR)
    known = LinkCheck.objects.filter(checked_at__lt=before, image__in=_by_link_alone())
    with transaction.atomic():
        due = list(
            known.select_related("image")
            .select_for_update(skip_locked=True, of=("self",))
            .order_by("checked_at")[: most * CANDIDATES]
        )
        new = _by_link_alone().filter(created_at__lt=before, link_check=None).order_by("id")
        due += [LinkCheck(image=image) for image in new[: most * CANDIDATES]]
        chosen = _spread(due, most)
        for check in chosen:
            check.checked_at = timezone.now()
        LinkCheck.objects.bulk_create(
            chosen,
            update_conflicts=True,
            unique_fields=["image"],
            update_fields=["checked_at"],
        )
    return chosen


def _by_link_alone() -> QuerySet[Image]:
    return Image.objects.filter(status=Status.READY, url__isnull=False, original="")


def _spread(due: Iterable[LinkCheck], most: int) -> list[LinkCheck]:
    """The first ones, of each host only some."""
    chosen: list[LinkCheck] = []
    of_host: Counter[str] = Counter()
    for check in due:
        host = urlsplit(check.image.url or "").netloc.lower()
        of_host[host] += 1
        if of_host[host] <= OF_ONE_HOST and len(chosen) < most:
            chosen.append(check)
    return chosen


def _look(check: LinkCheck) -> _Seen:
    """Runs in a thread and touches no row."""
    image = check.image
    try:
        found = fetch(
            image.url or "",
            conf.fetch_policy(),
            etag=check.etag,
            last_modified=check.last_modified,
        )
    except FetchFailed as error:
        if error.upstream_status == NOT_MODIFIED:
            return _Seen("same")
        return _Seen("gone" if error.upstream_status in GONE else "failed")
    same = Hashes.of(found.data).sha256 == image.sha256
    return _Seen("same" if same else "changed", found)


@transaction.atomic
def _take_in(check: LinkCheck, seen: _Seen) -> None:
    rows = _by_link_alone().filter(pk=check.image_id, url=check.image.url)
    image = rows.select_for_update().first()
    # Deleted, changed or held meanwhile.
    if image is None or seen.kind == "failed":
        return
    if seen.fetched is not None:
        # Of other bytes nothing is noted: lists grow, so that they are looked at in full each time.
        mine = seen.fetched if seen.kind == "same" else Fetched(b"", "")
        LinkCheck.objects.filter(pk=check.pk).update(
            etag=mine.etag, last_modified=mine.last_modified
        )
    _mark(image, stale=seen.kind != "same")
    if seen.kind == "changed" and seen.fetched is not None and not _passes(image, seen.fetched):
        before = image.status
        image.move_to(Status.QUARANTINED)
        image.save(update_fields=["status", "failure", "claimed_until"])
        notify_changed(by=LINKS, verb="quarantined", row=image, before=before, after=image.status)


def _mark(image: Image, *, stale: bool) -> None:
    if stale != (image.stale_at is not None):
        before, image.stale_at = image.stale_at, timezone.now() if stale else None
        image.save(update_fields=["stale_at"])
        verb = "link_changed" if stale else "link_restored"
        notify_changed(by=LINKS, verb=verb, row=image, before=before, after=image.stale_at)


def _passes(image: Image, found: Fetched) -> bool:
    """Whether every gate lets what the link holds now be handed out; one that fails does not."""
    # Every gate is asked: each records what it finds.
    answers = [_asked(path, image, found.data) for path in settings.LINK_GATES]
    return all(answers)


def _asked(path: str, image: Image, data: bytes) -> bool:
    gate: LinkGate = import_string(path)
    try:
        # A savepoint: a gate that fails in SQL must not keep the image from being quarantined.
        with transaction.atomic():
            return gate(image, data)
    except Exception:
        logger.exception("gate %s failed on the link of %s; it is held back", path, image)
        return False

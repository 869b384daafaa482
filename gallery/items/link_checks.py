"""Check whether published links still return the picture that was added.

Only images without a stored original are checked. If the content of a link has changed, its
image becomes stale. The new content must pass ``settings.LINK_GATES``; otherwise the image is
quarantined, so that no search returns that link.
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
from gallery.items.item import NO_MD5, Status
from gallery.items.models import Image, LinkCheck
from gallery.items.preprocessing import FETCH_THREADS, Hashes
from gallery.items.signals import notify_changed
from gallery.net.fetching import FetchedFile, fetch
from gallery.net.transport import FetchFailed

RUNS_AN_HOUR = 12
"""As scheduled in ``gallery.apps``."""

MAX_PER_HOST = 20
"""Most links of one host in one run, to spare the host."""

CANDIDATES_PER_LINK = 10
"""Due links loaded for each link to check, so that one host does not crowd out the others."""

NOT_MODIFIED = 304
GONE_STATUSES = frozenset({404, 410})
LINKS = "links"
"""The actor in the audit log."""

LinkGate = Callable[[Image, bytes], bool]
Kind = Literal["same", "changed", "gone", "failed"]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _LinkContent:
    """``fetched`` is None if the content was not modified or could not be fetched."""

    kind: Kind
    fetched: FetchedFile | None = None


def check_links() -> Counter[Kind]:
    """Check the links that are due, at most ``RECHECK_LINKS_HOURLY`` per hour.

    Return kind → number of links.
    """
    if not settings.RECHECK_LINKS_DAYS:
        return Counter()
    checks = _claim_due()
    counts: Counter[Kind] = Counter()
    with ThreadPoolExecutor(FETCH_THREADS) as pool:
        # Fetch a few at a time: a pool that runs ahead would hold many files in memory.
        for start in range(0, len(checks), FETCH_THREADS):
            some = checks[start : start + FETCH_THREADS]
            for check, seen in zip(some, pool.map(_look, some), strict=True):
                _take_in(check, seen)
                counts[seen.kind] += 1
    return counts


def _claim_due() -> list[LinkCheck]:
    """Return the checks to make now, already stored as made. So two workers take different ones,
    and a file that kills a worker does not block the others."""
    before = timezone.now() - timedelta(days=settings.RECHECK_LINKS_DAYS)
    most = max(1, settings.RECHECK_LINKS_HOURLY // RUNS_AN_HOUR)
    known = LinkCheck.objects.filter(checked_at__lt=before, image__in=_by_link_alone())
    with transaction.atomic():
        due = list(
            known.select_related("image")
            .select_for_update(skip_locked=True, of=("self",))
            .order_by("checked_at")[: most * CANDIDATES_PER_LINK]
        )
        new = _by_link_alone().filter(created_at__lt=before, link_check=None).order_by("id")
        due += [LinkCheck(image=image) for image in new[: most * CANDIDATES_PER_LINK]]
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
    links = Image.objects.filter(status=Status.READY, url__isnull=False, original="")
    return links.exclude(md5__startswith=NO_MD5)


def _spread(due: Iterable[LinkCheck], most: int) -> list[LinkCheck]:
    chosen: list[LinkCheck] = []
    of_host: Counter[str] = Counter()
    for check in due:
        host = urlsplit(check.image.url or "").netloc.lower()
        of_host[host] += 1
        if of_host[host] <= MAX_PER_HOST and len(chosen) < most:
            chosen.append(check)
    return chosen


def _look(check: LinkCheck) -> _LinkContent:
    """Fetch the link. Runs in a thread and does not use the database."""
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
            return _LinkContent("same")
        return _LinkContent("gone" if error.upstream_status in GONE_STATUSES else "failed")
    same = Hashes.of(found.data).are_of(image)
    return _LinkContent("same" if same else "changed", found)


@transaction.atomic
def _take_in(check: LinkCheck, seen: _LinkContent) -> None:
    rows = _by_link_alone().filter(pk=check.image_id, url=check.image.url)
    image = rows.select_for_update().first()
    # Deleted, changed or quarantined in the meantime.
    if image is None or seen.kind == "failed":
        return
    if seen.fetched is not None:
        # Do not store the headers of changed bytes: the hash lists grow, so screen them every time.
        mine = seen.fetched if seen.kind == "same" else FetchedFile(b"", "")
        LinkCheck.objects.filter(pk=check.pk).update(
            etag=mine.etag, last_modified=mine.last_modified
        )
    _mark(image, stale=seen.kind != "same")
    if seen.kind == "changed" and seen.fetched is not None and not _passes(image, seen.fetched):
        before = image.status
        image.move_to(Status.QUARANTINED)
        image.save(update_fields=["status", "failure", "claimed_until", "quarantined_at"])
        notify_changed(by=LINKS, verb="quarantined", row=image, before=before, after=image.status)


def _mark(image: Image, *, stale: bool) -> None:
    if stale != (image.stale_at is not None):
        before, image.stale_at = image.stale_at, timezone.now() if stale else None
        image.save(update_fields=["stale_at"])
        verb = "link_changed" if stale else "link_restored"
        notify_changed(by=LINKS, verb=verb, row=image, before=before, after=image.stale_at)


def _passes(image: Image, found: FetchedFile) -> bool:
    """Return whether all gates let the new content pass. A gate that raises does not."""
    # Run every gate: each records what it finds.
    answers = [_asked(path, image, found.data) for path in settings.LINK_GATES]
    return all(answers)


def _asked(path: str, image: Image, data: bytes) -> bool:
    gate: LinkGate = import_string(path)
    try:
        # Use a savepoint: an SQL error in a gate must not prevent the quarantine.
        with transaction.atomic():
            return gate(image, data)
    except Exception:
        logger.exception("gate %s failed on the link of %s; it is held back", path, image)
        return False

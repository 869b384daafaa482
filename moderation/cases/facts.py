"""What a case stores of its subject, and which subjects share a cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from gallery.items.item import Item
from gallery.items.models import Image
from moderation.cases.models import ReviewCase
from moderation.screening.types import ItemMatch, Screening
from videos.models import Video

NEAR_BITS: Final = 16
"""Maximum PDQ distance in bits between two subjects of the same item in one cluster."""

CASES_COMPARED: Final = 200
"""Undecided cases of an item that a new subject is compared with to find its cluster."""


@dataclass(frozen=True)
class CaseSubject:
    """What a case is about. ``facts`` outlive it: hashes, url, data_id, uploader, format, size.

    ``picture``: a JPEG for moderators, if the content is not stored elsewhere. ``by_content``: the
    content is not the row's own picture, so the row's other cases do not apply to it.
    """

    facts: Mapping[str, Any]
    image: Image | None = None
    video: Video | None = None
    picture: bytes = b""
    by_content: bool = False

    @property
    def key(self) -> dict[str, Any]:
        """The filter for cases and matches about the same subject."""
        if self.image is None and self.video is None:
            return {"image": None, "video": None}
        return {"image": self.image} if self.image else {"video": self.video}

    @property
    def can_be_seen(self) -> bool:
        return self.image is not None or self.video is not None or bool(self.picture)

    @property
    def sha256(self) -> str:
        """Empty if only another hash is known."""
        return str(self.facts.get("sha256", ""))


def facts_of(item: Item) -> dict[str, Any]:
    plain = ("sha1", "sha256", "url", "data_id", "uploader", "added_by", "format")
    size = ("width", "height", "bytes")
    return {"md5": item.known_md5 or "", **{name: getattr(item, name) for name in (*plain, *size)}}


def evidence_of(about: CaseSubject, screening: Screening) -> dict[str, Any]:
    found: dict[str, Any] = {
        **about.facts,
        "methods_run": list(screening.methods_run),
        "list_versions": dict(screening.list_versions),
        "unhashable": list(screening.unhashable),
        "missing": dict(screening.missing),
        "partly": dict(screening.partly),
    }
    if screening.pdq is not None:
        found["pdq"] = screening.pdq.hex()
    return found


def cluster_of(about: CaseSubject, screening: Screening, asking: Sequence[ItemMatch]) -> str:
    """Return the cluster of a subject. Identical and nearly identical subjects share one.

    The subject joins the cluster of an undecided case with the same bytes, or else of one with the
    same item and a PDQ at most ``NEAR_BITS`` bits away. Otherwise it starts a cluster named after
    its bytes. A match with the same item is not enough: two subjects that are each 31 bits from the
    item may be 62 bits apart, and perhaps only one is banned content.
    """
    own = about.sha256 or hashlib.sha256(repr(sorted(about.facts.items())).encode()).hexdigest()
    undecided = ReviewCase.objects.open()
    if same := undecided.filter(evidence__sha256=own).values_list("cluster", flat=True).first():
        return same
    if not asking or screening.pdq is None or about.video is not None:
        return own
    others = undecided.filter(matches__item=asking[0].item_id, video=None).order_by("-id")
    for cluster, evidence in others.values_list("cluster", "evidence")[:CASES_COMPARED]:
        other = evidence.get("pdq")
        if other and _bits(bytes.fromhex(other), screening.pdq) <= NEAR_BITS:
            return str(cluster)
    return own


def _bits(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()


def keep_picture(case: ReviewCase, jpeg: bytes, *, hash_only: bool = False) -> None:
    """Store a picture for a case that has none elsewhere. The caller saves the row.

    Stores nothing if a list that matched forbids pictures: ``hash_only``, or a list of the case's
    matches.
    """
    if not jpeg or hash_only:
        return
    if case.pk and case.matches.filter(list__hash_only=True).exists():
        return
    name = f"cases/{case.cluster[:2]}/{case.cluster}.jpg"
    case.picture = default_storage.save(name, ContentFile(jpeg))

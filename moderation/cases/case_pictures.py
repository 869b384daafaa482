"""The picture that a case keeps of what is not, or no longer, stored elsewhere."""

from __future__ import annotations

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from moderation.cases.models import ReviewCase


def keep(case: ReviewCase, jpeg: bytes, *, hash_only: bool = False) -> None:
    """Store it, in memory on the case; the caller saves the row.

    Nothing is stored of what may be a picture on a list that must have none: ``hash_only``, or as
    the case's own matches say.
    """
    if not jpeg or hash_only:
        return
    if case.pk and case.matches.filter(list__hash_only=True).exists():
        return
    name = f"cases/{case.cluster[:2]}/{case.cluster}.jpg"
    case.picture = default_storage.save(name, ContentFile(jpeg))

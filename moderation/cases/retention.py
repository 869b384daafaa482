"""Evidence that cases withhold, and legal holds. ``RETENTION_GUARDS`` names ``withheld``.

An image or video is not released while an undecided or confirmed case withholds it. It is not
deleted, merged or stripped of its original while a case is undecided, withholds it, or is under a
legal hold. The files of what was quarantined long ago are deleted, unless a case about it is
undecided or under a legal hold; so are the pictures that cases themselves keep.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from gallery.items.file_storage import delete_after_commit
from gallery.items.item import Item, Status
from gallery.items.kinds import kind_of
from gallery.items.retention import Act, WithheldReason
from gallery.shared.access import Access
from gallery.shared.errors import Conflict, UserError
from gallery.shared.locking import locked
from moderation.access.permissions import OVERRIDE, Actor, check
from moderation.access.words import word
from moderation.audit import trail
from moderation.cases import facts
from moderation.cases.models import UNDECIDED, WITHHOLDING, CaseMatch, ReviewCase, on_legal_hold
from moderation.cases.states import CaseState


def withheld(model: type[Item], ids: Sequence[int], act: Act) -> dict[int, WithheldReason]:
    """Return id → the strongest reason, for the rows that a case withholds."""
    needed = _needed_for(act)
    name = kind_of(model).name
    found: dict[int, tuple[int, WithheldReason]] = {}
    for case in ReviewCase.objects.filter(needed, **{f"{name}__in": ids}).order_by("pk"):
        subject, weighed = getattr(case, f"{name}_id"), _why(case, act)
        if subject not in found or weighed[0] < found[subject][0]:
            found[subject] = weighed
    return {pk: why for pk, (_, why) in found.items()}


def _needed_for(act: Act) -> Q:
    if act is Act.RELEASE:
        return WITHHOLDING
    needed = UNDECIDED | on_legal_hold()
    return needed if act is Act.EXPIRE else needed | WITHHOLDING


def check_override(access: Access) -> None:
    """Raise ``NotAllowed`` unless the caller may release or delete withheld content."""
    check(Actor.caller(access), OVERRIDE)


def keep_before_override(model: type[Item], rows: Sequence[Item], act: Act) -> None:
    """Update the cases before an override releases or deletes withheld rows.

    Cases of released rows withhold them no longer. Cases of deleted rows keep facts and the
    thumbnail, but no thumbnail if their lists forbid pictures.
    """
    mine = {f"{kind_of(model).name}__in": [row.pk for row in rows]}
    if act is Act.RELEASE:
        ReviewCase.objects.filter(held=True, **mine).update(held=False)
        return
    by_id = {row.pk: row for row in rows}
    needed = ReviewCase.objects.filter(WITHHOLDING | UNDECIDED | on_legal_hold(), **mine)
    for case in needed.order_by("pk"):
        row = by_id[getattr(case, f"{kind_of(model).name}_id")]
        case.evidence = {
            **case.evidence,
            "deleted": {
                "at": timezone.now().isoformat(),
                kind_of(model).name: row.pk,
                "status": row.status,
                "data_id": row.data_id,
                "remark": row.remark,
            },
        }
        if not case.picture:
            facts.keep_picture(case, _thumbnail(row))
        case.save(update_fields=["evidence", "picture"])


def cases_needing_lists(list_ids: Iterable[int]) -> dict[int, WithheldReason]:
    """Return case → why it needs one of these lists: undecided, under a legal hold, or keeping an
    item quarantined."""
    quarantined = Q(image__status=Status.QUARANTINED) | Q(video__status=Status.QUARANTINED)
    matches = CaseMatch.objects.filter(list__in=list(list_ids), case__isnull=False)
    cases = ReviewCase.objects.filter(
        UNDECIDED | on_legal_hold() | WITHHOLDING & quarantined, pk__in=matches.values("case")
    )
    return {case.pk: _why(case, Act.DELETE)[1] for case in cases.order_by("pk")}


def _why(case: ReviewCase, act: Act) -> tuple[int, WithheldReason]:
    """Return (rank, reason). Rank 0 is the strongest."""
    if act is not Act.RELEASE and case.is_on_legal_hold:
        words = {
            "number": case.pk,
            "day": f"{case.legal_hold_until:%Y-%m-%d}" if case.legal_hold_until else "",
        }
        if case.legal_hold_until:
            text = gettext("case %(number)s is under a legal hold until %(day)s")
        else:
            text = gettext("case %(number)s is under a legal hold")
        return 0, WithheldReason(gettext("a legal hold"), text % words)
    if case.state == CaseState.CONFIRMED:
        text = gettext("case %(number)s is confirmed")
        return 1, WithheldReason(gettext("a confirmed case"), text % {"number": case.pk})
    if case.state in CaseState.undecided():
        return 2, WithheldReason(
            gettext("an undecided case"),
            gettext("case %(number)s is %(state)s")
            % {"number": case.pk, "state": word(case.state)},
        )
    text = gettext("case %(number)s withholds it")
    return 3, WithheldReason(gettext("a case"), text % {"number": case.pk})


def _thumbnail(row: Item) -> bytes:
    name = row.thumbnail.name
    if not name or not default_storage.exists(name):
        return b""
    with default_storage.open(name) as stream:
        jpeg: bytes = stream.read()
    return jpeg


def delete_pictures_of(model: type[Item], rows: Sequence[Item], by: str) -> None:
    """Delete the pictures that cases keep of items whose files are being deleted."""
    _delete_pictures(ReviewCase.objects.filter(**{f"{kind_of(model).name}__in": rows}), by)


def delete_expired_pictures() -> int:
    """Delete the pictures of contents that were only checked, or of deleted items, from cases that
    were decided ``QUARANTINE_DAYS`` ago. Return how many."""
    if not settings.QUARANTINE_DAYS:
        return 0
    before = timezone.now() - timedelta(days=settings.QUARANTINE_DAYS)
    old = ReviewCase.objects.filter(image=None, video=None, decided_at__lt=before)
    with transaction.atomic():
        return _delete_pictures(old.exclude(UNDECIDED), "worker")


def _delete_pictures(chosen: QuerySet[ReviewCase], by: str) -> int:
    cases = locked(chosen.exclude(picture="").exclude(on_legal_hold()))
    # Cases of one cluster may share a file.
    ids = [case.pk for case in cases]
    names = {str(case.picture.name) for case in cases}
    ReviewCase.objects.filter(pk__in=ids).update(picture="")
    shared = ReviewCase.objects.filter(picture__in=names).values_list("picture", flat=True)
    delete_after_commit(names - set(shared))
    if ids:
        trail.record(
            by=by,
            verb="case.picture_deleted",
            subject=ReviewCase,
            after=trail.summarize_ids(ids),
            count=len(ids),
            reason=f"QUARANTINE_DAYS={settings.QUARANTINE_DAYS}",
        )
    return len(ids)


HOLD_ACTION: Final = "set and lift legal holds"


@transaction.atomic
def set_hold(
    *, by: Actor, case_ids: Iterable[int], reason: str, until: datetime | None = None
) -> int:
    """Put cases under a legal hold, or change the current one. Return the number of cases.

    Without ``until`` the hold lasts until a person lifts it. Raise ``NotAllowed``, ``NotFound``,
    and ``UserError`` without a reason or with an end in the past.
    """
    check(by, HOLD_ACTION)
    why = _checked_reason(reason)
    if until is not None and until <= timezone.now():
        raise UserError(gettext("Give an end in the future, or none."), field="until")
    cases = ReviewCase.objects.lock_selected(case_ids)
    before = [_hold_facts(case) for case in cases]
    for case in cases:
        case.legal_hold, case.legal_hold_until, case.legal_hold_reason = True, until, why
    return _store_holds(cases, before, "set", by, why)


@transaction.atomic
def lift_hold(*, by: Actor, case_ids: Iterable[int], reason: str) -> int:
    """End the legal holds of cases now. Return how many cases had one.

    Raise ``NotAllowed``, ``NotFound``, ``UserError`` without a reason, and ``Conflict`` if no case
    is under a hold.
    """
    check(by, HOLD_ACTION)
    why = _checked_reason(reason)
    cases = [case for case in ReviewCase.objects.lock_selected(case_ids) if case.is_on_legal_hold]
    if not cases:
        raise Conflict(gettext("There is no legal hold to lift."))
    before = [_hold_facts(case) for case in cases]
    for case in cases:
        case.legal_hold, case.legal_hold_until, case.legal_hold_reason = False, None, ""
    return _store_holds(cases, before, "lifted", by, why)


def _checked_reason(reason: str) -> str:
    why = reason.strip()
    if not why:
        raise UserError(gettext("A legal hold needs a reason."), field="reason")
    return why


def _hold_facts(case: ReviewCase) -> dict[str, Any]:
    return {
        "legal_hold": case.is_on_legal_hold,
        "until": case.legal_hold_until,
        "reason": case.legal_hold_reason,
    }


def _store_holds(
    cases: list[ReviewCase], before: list[Any], verb: str, by: Actor, reason: str
) -> int:
    fields = ["legal_hold", "legal_hold_until", "legal_hold_reason"]
    ReviewCase.objects.bulk_update(cases, fields, batch_size=500)
    one = len(cases) == 1
    ids = [case.pk for case in cases]
    trail.record(
        by=by.name,
        verb=f"case.legal_hold_{verb}",
        subject=cases[0] if one else ReviewCase,
        before=before[0] if one else {str(pk): was for pk, was in zip(ids, before, strict=True)},
        after=_hold_facts(cases[0])
        if one
        else {**_hold_facts(cases[0]), **trail.summarize_ids(ids)},
        count=len(cases),
        reason=reason,
    )
    return len(cases)

"""Notices: a person says that a picture must not be here. Each is decided within 48 hours.

The gallery is searched for copies at once. Each copy, and the picture itself if it was sent, gets a
case in the queue. The notice is closed when all its cases are decided. If one was confirmed, the
gallery is searched again for copies that came since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import F
from django.http.request import split_domain_port, validate_host
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.utils.translation import gettext as _
from django_q.tasks import async_task

from gallery.imaging.decoding.pictures import Picture
from gallery.imaging.pixels import fitted
from gallery.items import conf as gallery_conf
from gallery.items.item import Item, Status
from gallery.items.models import Image
from gallery.items.preprocessing import Hashes
from gallery.net.fetching import fetch
from gallery.shared.errors import NotFound, UserError
from gallery.shared.jpeg import Quality, encode_jpeg
from gallery.shared.locking import lock, locked
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.cases import facts
from moderation.cases.models import UNDECIDED, Decision, ReviewCase
from moderation.cases.states import CaseState
from moderation.lists import policies
from moderation.lists.verdicts import Severity, Verdict
from moderation.reports import copies, receipts
from moderation.reports.models import NOTICE_TIME, Notice, NoticeQuerySet
from moderation.screening.types import CASE_PICTURE_SIDE
from moderation.webhooks import outbox
from moderation.webhooks.models import WebhookEvent
from videos.models import Video

CONTACTS: Final = "see who sent a notice"
LONGEST: Final = 10_000
LONGEST_NAME: Final = 200
LONGEST_ADDRESS: Final = 2048
CLUSTER: Final = "lists"
WORKER: Final = Actor.machine("worker")
OWN_ADDRESSES: Final = {
    "gallery:original": Image,
    "gallery:thumbnail": Image,
    "image": Image,
    "video": Video,
    "video-file": Video,
    "video-thumbnail": Video,
}
"""Name of an address of ours → what it shows."""


def receive(
    *,
    by: Actor,
    reason: str,
    statement: str,
    name: str,
    email: str,
    address: str = "",
    data: bytes | None = None,
) -> Notice:
    """Take a notice. ``address``: where the picture is seen; ``data``: its file. One is enough.

    Raise ``UserError`` for what cannot be used, and what fetching and decoding raise.
    """
    _check_texts(reason, statement, name, email)
    if data is None and not address:
        raise UserError(_("Give the address of the picture, or its file."), field="address")
    if address and not address.lower().startswith(("http://", "https://")):
        problem = _("Give an address that starts with http:// or https://.")
        raise UserError(problem, field="address")
    if len(address) > LONGEST_ADDRESS:
        problem = _("An address has at most %(most)s characters.") % {"most": LONGEST_ADDRESS}
        raise UserError(problem, field="address")
    item = _own_item(address) if data is None else None
    picture, found = None, {}
    if isinstance(item, Image):
        found = copies.of_image(item)
    elif item is None:
        data = data if data is not None else fetch(address, gallery_conf.fetch_policy()).data
        picture = copies.decode(data)
        found = copies.of_picture(data, picture, hashlib.sha256(data).hexdigest())
    sha256 = item.sha256 if item else hashlib.sha256(data or b"").hexdigest()
    with transaction.atomic():
        lock(f"subject {sha256}")
        now = timezone.now()
        notice = Notice.objects.create(
            created_at=now,
            due_at=now + NOTICE_TIME,
            reason=reason,
            statement=statement.strip(),
            address=address,
            sha256=sha256,
            name=name.strip(),
            email=email.strip(),
            sent_by=by.name,
        )
        opened = _open_cases(notice, {item: True, **found} if item else found)
        if picture is not None:
            opened += _open_case_of_picture(notice, data or b"", picture)
        outbox.enqueue(
            WebhookEvent.NOTICE_RECEIVED, f"notice:{notice.pk}:received", _payload(notice)
        )
        _record_opened(opened, by)
        trail.record(
            by=by.name,
            verb="notice.received",
            subject=notice,
            after={"reason": reason, "sha256": sha256, "cases": sorted(_case_ids(notice))},
        )
    return notice


def _check_texts(reason: str, statement: str, name: str, email: str) -> None:
    if reason not in Notice.Reason.values:
        raise UserError(f"Give one of {', '.join(Notice.Reason.values)}.", field="reason")
    if not 1 <= len(statement.strip()) <= LONGEST:
        problem = _("Say what is wrong with the picture, in 1 to %(most)s characters.")
        raise UserError(problem % {"most": f"{LONGEST:,}"}, field="statement")
    if not 1 <= len(name.strip()) <= LONGEST_NAME:
        problem = _("Give your name, in 1 to %(most)s characters.") % {"most": LONGEST_NAME}
        raise UserError(problem, field="name")
    try:
        validate_email(email.strip())
    except ValidationError:
        problem = _("Give an e-mail address at which you can be reached.")
        raise UserError(problem, field="email") from None


def _own_item(address: str) -> Item | None:
    """Return the published item that an address of this service shows; None for other addresses.

    Raise ``NotFound`` if there is none: also for what is withheld, so that nobody learns of it.
    """
    try:
        parts = urlsplit(address)
        host = split_domain_port(parts.netloc)[0]
        if not validate_host(host, settings.ALLOWED_HOSTS):
            return None
        match = resolve(parts.path)
    except (Resolver404, ValueError):
        return None
    model = OWN_ADDRESSES.get(match.view_name)
    if model is None:
        return None
    item = model._default_manager.filter(pk=match.kwargs["pk"], status=Status.READY).first()
    if item is None:
        raise NotFound(_("There is no picture at this address."), field="address")
    return item


def _open_cases(notice: Notice, found: Mapping[Item, bool]) -> list[ReviewCase]:
    """Give each item a case of the notice, or the undecided one that it has. Return the new ones.

    It locks the items, and then their cases.
    """
    for model in (Image, Video):
        ids = [item.pk for item in found if isinstance(item, model)]
        locked(model._default_manager.filter(pk__in=ids).only("pk"), no_key=True)
    opened = []
    for item, sure in found.items():
        kind = str(item._meta.model_name)
        waiting = ReviewCase.objects.filter(UNDECIDED, **{kind: item})
        acting = waiting.exclude(origin__in=[ReviewCase.Origin.SHADOW, ReviewCase.Origin.SAMPLE])
        case = acting.select_for_update().order_by("pk").first()
        if case is None:
            cluster = notice.sha256 if sure else item.sha256
            case = _new_case(notice, cluster, facts.facts_of(item), **{kind: item})
            opened.append(case)
        else:
            case.severity, case.confidence = max(case.severity, _severity(notice)), 1.0
            case.save(update_fields=["severity", "confidence"])
        notice.cases.add(case)
    return opened


def _open_case_of_picture(notice: Notice, data: bytes, picture: Picture) -> list[ReviewCase]:
    """Add a case about the picture itself, which need not be in the gallery. Return it if new."""
    waiting = ReviewCase.objects.filter(
        UNDECIDED, origin=ReviewCase.Origin.NOTICE, image=None, video=None, cluster=notice.sha256
    )
    case = waiting.order_by("pk").first()
    if case is not None:
        notice.cases.add(case)
        return []
    evidence = {**vars(Hashes.of(data)), "url": notice.address or None, "bytes": len(data)}
    case = _new_case(notice, notice.sha256, evidence)
    facts.keep_picture(
        case, encode_jpeg(fitted(picture.rgb, CASE_PICTURE_SIDE), Quality.CASE_PICTURE)
    )
    case.save(update_fields=["picture"])
    notice.cases.add(case)
    return [case]


def _severity(notice: Notice) -> int:
    child = notice.reason == Notice.Reason.CHILD
    return Severity.CRITICAL if child else Severity.HIGH


def _new_case(
    notice: Notice, cluster: str, evidence: Mapping[str, Any], **subject: Item
) -> ReviewCase:
    severity = _severity(notice)
    fields: dict[str, Any] = subject
    return ReviewCase.objects.create(
        origin=ReviewCase.Origin.NOTICE,
        verdict=Verdict.REVIEW,
        severity=severity,
        confidence=1.0,
        two_person=policies.needs_two_people(severity, False),
        cluster=cluster,
        evidence={**evidence, "notice": notice.pk},
        **fields,
    )


def _record_opened(cases: Iterable[ReviewCase], by: Actor) -> None:
    for case in cases:
        trail.record(
            by=by.name,
            verb="case.opened",
            subject=case,
            after={"verdict": case.verdict, "held": False, "origin": case.origin, "matches": []},
        )


def follow_decisions(decisions: Collection[Decision]) -> None:
    """Close the notices whose cases are all decided, or open them again after an undo."""
    ids = {one.case_id for one in decisions}
    for notice in locked(Notice.objects.filter(pk__in=_of_cases(ids))):
        _settle(notice)
        confirmed = notice.cases.filter(pk__in=ids, state=CaseState.CONFIRMED)
        if confirmed.exists():
            pk = notice.pk
            transaction.on_commit(
                lambda pk=pk: async_task(  # type: ignore[misc]
                    "moderation.tasks.search_again_for_notice", pk, cluster=CLUSTER
                )
            )


def _of_cases(ids: Collection[int]) -> Any:
    return Notice.cases.through.objects.filter(reviewcase__in=ids).values("notice")


def _settle(notice: Notice) -> None:
    cases = list(notice.cases.values_list("state", "image", "video"))
    if any(state == CaseState.APPEALED for state, *_ in cases):
        return  # what was decided holds until the appeal is decided
    if any(state in CaseState.undecided() for state, *_ in cases):
        if notice.closed_at is not None:
            notice.closed_at, notice.outcome = None, ""
            notice.save(update_fields=["closed_at", "outcome"])
        return
    of_items = [state for state, image, video in cases if image or video]
    removed = of_items.count(CaseState.CONFIRMED)
    outcome = Notice.Outcome.ABSENT if not of_items else Notice.Outcome.KEPT
    if removed:
        all_removed = removed == len(of_items)
        outcome = Notice.Outcome.REMOVED if all_removed else Notice.Outcome.PARTLY
    if notice.outcome == outcome:
        return
    notice.closed_at, notice.outcome = notice.closed_at or timezone.now(), outcome
    notice.save(update_fields=["closed_at", "outcome"])
    key = f"notice:{notice.pk}:closed:{timezone.now():%Y%m%dT%H%M%S%f}"
    outbox.enqueue(WebhookEvent.NOTICE_CLOSED, key, _payload(notice))


def search_again(notice_id: int) -> int:
    """Open cases for copies that came since the notice. Return how many."""
    notice = Notice.objects.filter(pk=notice_id).first()
    if notice is None:
        return 0
    found: dict[Item, bool] = {}
    for case in notice.cases.select_related("image"):
        if case.image is not None:
            found |= copies.of_image(case.image)
        elif case.picture:
            with case.picture.open("rb") as stream:
                data = stream.read()
            found |= copies.of_picture(data, copies.decode(data), notice.sha256)
    with transaction.atomic():
        known: dict[type[Item], set[int | None]] = {Image: set(), Video: set()}
        for image, video in notice.cases.values_list("image", "video"):
            known[Image].add(image)
            known[Video].add(video)
        fresh = {item: sure for item, sure in found.items() if item.pk not in known[type(item)]}
        opened = _open_cases(notice, fresh)
        if fresh:
            _settle(Notice.objects.select_for_update().get(pk=notice_id))
        _record_opened(opened, WORKER)
    return len(fresh)


def send_overdue() -> int:
    """Tell webhooks of notices whose time is over, once each. Return how many."""
    with transaction.atomic():
        late = locked(Notice.objects.overdue().filter(overdue_sent_at=None))
        for notice in late:
            outbox.enqueue(
                WebhookEvent.NOTICE_OVERDUE, f"notice:{notice.pk}:overdue", _payload(notice)
            )
        ids = [notice.pk for notice in late]
        Notice.objects.filter(pk__in=ids).update(overdue_sent_at=timezone.now())
    return len(ids)


def delete_contacts() -> int:
    """Delete names and e-mail addresses ``NOTICE_CONTACT_DAYS`` after the notices were closed."""
    before = timezone.now() - timedelta(days=settings.NOTICE_CONTACT_DAYS)
    with transaction.atomic():
        old = locked(Notice.objects.filter(closed_at__lt=before).exclude(name="", email=""))
        ids = [notice.pk for notice in old]
        if ids:
            Notice.objects.filter(pk__in=ids).update(name="", email="")
            trail.record(
                by=WORKER.name,
                verb="notice.contacts_deleted",
                subject=Notice,
                after=trail.summarize_ids(ids),
                count=len(ids),
                reason=f"NOTICE_CONTACT_DAYS={settings.NOTICE_CONTACT_DAYS}",
            )
    return len(ids)


@transaction.atomic
def contact(*, by: Actor, notice_id: int) -> Notice:
    """Return a notice for a person who may see who sent it. This is recorded in the audit.

    Raise ``NotAllowed`` and ``NotFound``.
    """
    check(by, CONTACTS)
    notice = existing(by=by, notice_id=notice_id)
    trail.record(by=by.name, verb="notice.contact_seen", subject=notice)
    return notice


def existing(*, by: Actor, notice_id: int) -> Notice:
    check(by, "decide cases")
    notice = Notice.objects.filter(pk=notice_id).first()
    if notice is None:
        raise NotFound(f"There is no notice {notice_id}.")
    return notice


def listed(*, by: Actor) -> NoticeQuerySet:
    """Return all notices: open ones first, those that end soonest."""
    check(by, "decide cases")
    return Notice.objects.order_by(F("closed_at").desc(nulls_first=True), "due_at")


def _case_ids(notice: Notice) -> list[int]:
    return list(notice.cases.order_by().values_list("pk", flat=True))


def _payload(notice: Notice) -> dict[str, Any]:
    """What webhooks get: nothing of the person."""
    return {
        "notice": notice.pk,
        "reason": notice.reason,
        "received_at": notice.created_at,
        "due_at": notice.due_at,
        "closed_at": notice.closed_at,
        "outcome": notice.outcome,
        "cases": sorted(_case_ids(notice)),
        "path": receipts.path(notice),
    }

"""Statements of reasons: what was decided about an upload and why, and its uploader's appeal.

A statement is made when a case withholds its upload, or is confirmed. It says what holds now: its
text is made from the case each time. The uploader may appeal once, against the decision of a
person. The case is then open for somebody who has not decided it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.cases.models import THRESHOLD_MET, CaseMatch, Decision, ReviewCase
from moderation.cases.states import CaseState
from moderation.reports.models import Statement
from moderation.webhooks import outbox
from moderation.webhooks.models import Webhook, WebhookEvent

LONGEST_APPEAL: Final = 5000
UPLOADER: Final = "uploader"
"""Who appeals, in the audit."""


class State(StrEnum):
    """``withheld``: automatically, until a person decides. ``restricted``: a person decided.
    ``reviewed``: it is looked at again, without an appeal of the uploader. ``appealed``: after one.
    ``upheld``: the appeal changed nothing. ``lifted``: the case restricts nothing any more."""

    WITHHELD = "withheld"
    RESTRICTED = "restricted"
    REVIEWED = "reviewed"
    APPEALED = "appealed"
    UPHELD = "upheld"
    LIFTED = "lifted"


@dataclass(frozen=True)
class Content:
    """What a statement says now. ``text``: its paragraphs, in the active language."""

    statement: Statement
    state: State
    text: list[str]

    @property
    def may_appeal(self) -> bool:
        return self.state is State.RESTRICTED

    @property
    def path(self) -> str:
        return reverse("statement", args=[self.statement.token])


def by_token(token: str) -> Content:
    """Raise ``NotFound``."""
    found = _loaded().filter(token=token).first()
    if found is None:
        raise NotFound(_("There is no statement at this address."))
    return content(found)


def of_case(*, by: Actor, case_id: int) -> Content:
    """Raise ``NotAllowed``, and ``NotFound`` for a case that never restricted its upload."""
    check(by, "view cases")
    found = _loaded().filter(case=case_id).first()
    if found is None:
        ReviewCase.objects.existing(case_id)
        raise NotFound(f"Case {case_id} has restricted nothing, so it has no statement.")
    return content(found)


def _loaded() -> QuerySet[Statement]:
    """Statements with what ``content`` reads, however many there are."""
    settled = Decision.objects.live().filter(state_after__in=CaseState.decided())
    matches = CaseMatch.objects.filter(THRESHOLD_MET).select_related("list").order_by("pk")
    return Statement.objects.select_related("case").prefetch_related(
        Prefetch("case__decisions", settled.select_related("batch").order_by("pk"), "settled"),
        Prefetch("case__matches", matches, "grounds"),
    )


def content(statement: Statement) -> Content:
    """Return what a statement of ``_loaded`` says."""
    case: Any = statement.case
    decision: Decision | None = case.settled[-1] if case.settled else None
    state = _state(statement, case, decision)
    text = [
        _what(case, state),
        *_grounds(case, decision),
        _how(case, decision),
        *_redress(statement, state, decision),
    ]
    return Content(statement, state, text)


def _state(statement: Statement, case: ReviewCase, decision: Decision | None) -> State:
    if case.state == CaseState.DISMISSED or not case.held:
        return State.LIFTED
    if case.state == CaseState.CONFIRMED:
        return State.UPHELD if statement.appealed_at else State.RESTRICTED
    if statement.appealed_at:
        return State.APPEALED
    return State.REVIEWED if decision else State.WITHHELD


WHAT: Final[Mapping[str, Mapping[State, str]]] = {
    "image": {
        State.WITHHELD: gettext_noop("Your image is withheld: nobody else can find or see it."),
        State.RESTRICTED: gettext_noop("Your image was hidden: nobody else can find or see it."),
        State.LIFTED: gettext_noop("Your image is not hidden by this decision any more."),
    },
    "video": {
        State.WITHHELD: gettext_noop("Your video is withheld: nobody else can find or see it."),
        State.RESTRICTED: gettext_noop("Your video was hidden: nobody else can find or see it."),
        State.LIFTED: gettext_noop("Your video is not hidden by this decision any more."),
    },
    "file": {
        State.WITHHELD: gettext_noop("Your file was checked, and is not accepted for now."),
        State.RESTRICTED: gettext_noop("Your file was checked, and is not accepted."),
        State.LIFTED: gettext_noop("Your file is not refused by this decision any more."),
    },
}
"""Kind of upload → state → the sentence. Other states have the sentence of ``RESTRICTED``."""


CONFIRMED: Final[Mapping[str, str]] = {
    "same": gettext_noop("The person who decided found that it is the same content."),
    "edited": gettext_noop("The person who decided found that it is an edited copy of it."),
    "similar": gettext_noop("The person who decided found that it shows the same."),
    "other": gettext_noop("The person who decided found that it is not permitted."),
}
"""Code of the reason of a confirmation → what the uploader is told."""
NOTICED: Final = gettext_noop("The person who decided found that the notice is right.")


def _what(case: ReviewCase, state: State) -> str:
    kind = "image" if case.image_id else "video" if case.video_id else "file"
    sentence = _(WHAT[kind].get(state, WHAT[kind][State.RESTRICTED]))
    about = case.evidence.get("data_id") or case.evidence.get("url")
    if not about:
        return sentence
    named = _("It is about: %(upload)s") % {"upload": about}
    return f"{sentence} {named}"


def _grounds(case: Any, decision: Decision | None) -> list[str]:
    said = []
    grounds = dict.fromkeys(
        (match.list and match.list.category) or match.list_name for match in case.grounds
    )
    if grounds:
        about = {"grounds": ", ".join(grounds)}
        said.append(_("It matches content that is not permitted here: %(grounds)s.") % about)
    elif case.origin == ReviewCase.Origin.NOTICE:
        said.append(_("A person gave notice that it is not permitted."))
    else:
        said.append(_("It could not be compared with everything that is not permitted here."))
    if decision is not None and decision.verb == Decision.Verb.CONFIRM:
        noticed = case.origin == ReviewCase.Origin.NOTICE
        default = CONFIRMED["other"]
        said.append(_(NOTICED if noticed else CONFIRMED.get(decision.batch.reason, default)))
    return said


def _how(case: ReviewCase, decision: Decision | None) -> str:
    found = (
        _("It was not found by automated means.")
        if case.origin == ReviewCase.Origin.NOTICE
        else _("It was found by automated means.")
    )
    if decision is None:
        decided = _("No person has decided about it yet. A person will.")
    else:
        day = f"{decision.created_at:%Y-%m-%d}"
        decided = _("The decision was made by a person, on %(day)s.") % {"day": day}
    return f"{found} {decided}"


def _redress(statement: Statement, state: State, decision: Decision | None) -> list[str]:
    said = []
    at = statement.appealed_at
    if at is not None:
        said.append(_("You appealed on %(day)s.") % {"day": f"{at:%Y-%m-%d}"})
    if state is State.WITHHELD:
        said.append(_("If a person decides against it, you can appeal on the page of this text."))
    elif state is State.RESTRICTED:
        said.append(
            _(
                "You can appeal once, on the page of this text. A person who has not decided about "
                "it before will look at it again."
            )
        )
    elif state in (State.APPEALED, State.REVIEWED):
        said.append(_("It is being looked at again by another person. Until then it stays hidden."))
    elif state is State.UPHELD:
        said.append(_("Another person looked at it again: the decision stands."))
    elif at is not None and decision is not None:
        said.append(_("Another person looked at it again: the decision was withdrawn."))
    if state in (State.RESTRICTED, State.UPHELD):
        said.append(
            _("You can also go to a body that settles such disputes out of court, or to a court.")
        )
    return said


@transaction.atomic
def appeal(*, token: str, text: str) -> Statement:
    """Reopen a confirmed case for somebody else. What was decided holds until then.

    Raise ``NotFound``, ``UserError`` without a text, and ``Conflict`` if there was an appeal, or if
    no person has decided against the upload.
    """
    about = by_token(token).statement.case_id
    written = text.strip()
    if not 1 <= len(written) <= LONGEST_APPEAL:
        most = {"most": f"{LONGEST_APPEAL:,}"}
        raise UserError(
            _("Write why you disagree, in 1 to %(most)s characters.") % most, field="appeal"
        )
    (case,) = ReviewCase.objects.lock_selected([about])
    statement = Statement.objects.select_for_update().get(case=about)
    if statement.appealed_at is not None:
        raise Conflict(_("You appealed already: there is one appeal for each statement."))
    if case.state != CaseState.CONFIRMED or not case.held:
        raise Conflict(_("There is no decision of a person to appeal against."))
    ReviewCase.objects.filter(pk=about).update(
        state=CaseState.APPEALED, decided_at=None, claimed_by=None, claimed_until=None
    )
    statement.appeal, statement.appealed_at = written, timezone.now()
    statement.save(update_fields=["appeal", "appealed_at"])
    enqueue([about], "appeal")
    trail.record(
        by=UPLOADER,
        verb="case.appealed",
        subject=case,
        before={"states": [case.state]},
        after={"cases": [about], "states": [CaseState.APPEALED]},
        reason=written,
    )
    return statement


def make(case_ids: Iterable[int]) -> None:
    """Make the statements of cases that restrict their uploads now, if they have none."""
    rows = [Statement(case_id=pk) for pk in case_ids]
    Statement.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)


def follow_withheld(case: ReviewCase) -> None:
    make([case.pk])
    enqueue([case.pk], "withheld")


def follow_decisions(decisions: Collection[Decision], *, undone: bool = False) -> None:
    """Make and send statements after decisions, or after these were undone."""
    acting = [one for one in decisions if _restricts(one.case)]
    if not undone:
        make(one.case_id for one in acting if one.state_after == CaseState.CONFIRMED)
    settled = [*CaseState.decided(), CaseState.APPEALED]
    changed = [one.case_id for one in acting if one.state_after in settled]
    if changed:
        number = max(one.pk for one in decisions)
        enqueue(changed, f"{'undone' if undone else 'decision'} {number}")


def _restricts(case: ReviewCase) -> bool:
    """Return whether deciding the case can restrict somebody's upload: not of a sample in shadow,
    nor of a picture that was sent with a notice."""
    sent_with_notice = case.origin == ReviewCase.Origin.NOTICE and not (
        case.image_id or case.video_id
    )
    return case.origin != ReviewCase.Origin.SHADOW and not sent_with_notice


def enqueue(case_ids: Collection[int], why: str) -> None:
    """Send the statements of these cases to webhooks. ``why``: what changed, for the key."""
    wanted = Webhook.objects.filter(enabled=True, events__contains=[WebhookEvent.STATEMENT])
    if not wanted.exists():
        return
    rows = _loaded().filter(case__in=case_ids).order_by("case")
    messages = [
        (WebhookEvent.STATEMENT, f"statement:{row.case_id}:{why}", as_data(row)) for row in rows
    ]
    if messages:  # a case that never restricted anything has no statement
        outbox.enqueue_all(messages)


def as_data(statement: Statement) -> dict[str, Any]:
    """Return a statement of ``_loaded`` as webhooks and the API send it, in English."""
    with translation.override("en"):
        found = content(statement)
    case = statement.case
    return {
        "case": case.pk,
        "state": found.state.value,
        "text": "\n\n".join(found.text),
        "path": found.path,
        "may_appeal": found.may_appeal,
        "appealed_at": statement.appealed_at,
        "image": case.image_id,
        "video": case.video_id,
        **{name: case.evidence.get(name) for name in ("data_id", "url", "uploader", "sha256")},
    }

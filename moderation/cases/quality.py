"""Second opinions: a share of what was decided is judged again by somebody else, who is not told
what was said. They change nothing; they show how far people agree."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.db.models.fields import CharField
from django.db.models.functions import MD5, Cast, Concat, Substr
from django.utils import timezone

from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import (
    Actor,
    NotAllowed,
    can,
    check,
)
from moderation.audit import trail
from moderation.cases import agreement
from moderation.cases.agreement import Agreement
from moderation.cases.decisions import person
from moderation.cases.models import (
    CaseMatch,
    Decision,
    DecisionBatch,
    ReviewCase,
)
from moderation.cases.states import CaseState

WINDOW: Final = timedelta(days=14)
"""How old a decision may be for somebody to be asked about it again."""
FINAL: Final = (Decision.Verb.CONFIRM, Decision.Verb.DISMISS)
DIGITS: Final = 6

PAIRS = """
SELECT first.by_id, author.username, blind.case_id, first.verb, blind.verb
FROM moderation_decision blind
JOIN LATERAL (
    SELECT d.by_id, d.verb FROM moderation_decision d
    WHERE d.case_id = blind.case_id AND NOT d.blind_review AND d.undone_at IS NULL
      AND d.verb IN ('confirm', 'dismiss') AND d.id < blind.id
    ORDER BY d.id DESC LIMIT 1) first ON true
JOIN auth_user author ON author.id = first.by_id
WHERE blind.blind_review AND blind.undone_at IS NULL AND blind.created_at >= %s
"""


def drawn() -> QuerySet[ReviewCase]:
    """The share of the decided cases that is judged again, always the same ones.

    By a keyed hash of the id: nobody can know while deciding whether a case will be among them.
    """
    since = timezone.now() - WINDOW
    cases = ReviewCase.objects.filter(state__in=CaseState.decided(), decided_at__gte=since)
    share = settings.QUALITY_SHARE
    if share >= 1:
        return cases
    key = hashlib.sha256(f"quality {settings.SECRET_KEY}".encode()).hexdigest()[:16]
    lot = Substr(MD5(Concat(Value(key), Cast("pk", CharField()))), 1, DIGITS)
    limit = f"{int(share * 16**DIGITS):0{DIGITS}x}"
    return cases.annotate(lot=lot).filter(lot__lt=limit)


def waiting(by: Actor) -> QuerySet[ReviewCase]:
    """Those that this person may judge: decided by others, uploaded by others, not judged yet."""
    said = Decision.objects.filter(case=OuterRef("pk"), undone_at=None)
    own = Q(image__added_by=by.name) | Q(video__added_by=by.name)
    return (
        drawn()
        .exclude(Exists(said.filter(blind_review=True)))
        .exclude(Exists(said.filter(by=by.user)))
        .filter(Exists(said.filter(blind_review=False, verb__in=FINAL)))
        .exclude(pk__in=ReviewCase.objects.filter(own).values("pk"))
        .order_by("decided_at", "pk")
    )


@transaction.atomic
def give_opinion(
    *, by: Actor, case_id: int, verb: str, note: str = "", looked: bool = True
) -> Decision:
    """Say what one thinks of a decided case, ``confirm`` or ``dismiss``. It changes nothing.

    Raises ``NotAllowed`` (also for a case of one's own), ``NotFound``, and ``Conflict`` for a case
    that somebody has judged meanwhile.
    """
    check(by, "decide cases")
    user = person(by)
    if verb not in FINAL:
        raise UserError("A second opinion is confirm or dismiss.", field="verb")
    case = ReviewCase.objects.select_for_update(of=("self",)).filter(pk=case_id).first()
    if case is None:
        raise NotFound(f"There is no case {case_id}.")
    if not waiting(by).filter(pk=case_id).exists():
        if Decision.objects.filter(case=case, by=user, undone_at=None).exists():
            raise NotAllowed("You have had your say about this case.")
        raise Conflict(f"Nobody is asked about case {case_id} any more.")
    batch = DecisionBatch.objects.create(by=user, reason="quality", note=note)
    made = Decision.objects.create(
        case=case,
        batch=batch,
        by=user,
        verb=verb,
        state_before=case.state,
        state_after=case.state,
        looked=looked,
        blind_review=True,
    )
    trail.record(
        by=by.name, verb="case.judged_again", subject=case, after={"verb": verb}, reason=note
    )
    return made


@dataclass(frozen=True)
class Line:
    """How far second opinions agree with one person's decisions, or about one list's cases."""

    name: str
    agreement: Agreement


@dataclass(frozen=True)
class Agreements:
    """Of all, of each person whose decisions were judged, of each list."""

    all: Agreement
    people: Sequence[Line]
    lists: Sequence[Line]


def agreements(*, by: Actor, since: timedelta = timedelta(days=90)) -> Agreements:
    """How far second opinions agreed with decisions. By name, never by rank; a lead sees
    everybody's numbers, others only their own. Raises ``NotAllowed``."""
    check(by, "view cases")
    with connection.cursor() as cursor:
        cursor.execute(PAIRS, [timezone.now() - since])
        rows = cursor.fetchall()
    all_people = can(by, "undo the decisions of others")
    own = by.user.pk if by.user else None
    names = _lists_of(row[2] for row in rows)
    return Agreements(
        agreement.agreement(row[3:] for row in rows),
        _lines((row[1], row[3:]) for row in rows if all_people or row[0] == own),
        _lines((name, row[3:]) for row in rows for name in names[row[2]]),
    )


def _lists_of(case_ids: Iterable[int]) -> defaultdict[int, set[str]]:
    found: defaultdict[int, set[str]] = defaultdict(set)
    matches = CaseMatch.objects.filter(case__in=set(case_ids)).order_by()
    for case, name in matches.values_list("case", "list_name").distinct():
        found[case].add(name)
    return found


def _lines(pairs: Iterable[tuple[str, tuple[str, str]]]) -> list[Line]:
    by_name: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, pair in pairs:
        by_name[name].append(pair)
    return [Line(name, agreement.agreement(found)) for name, found in sorted(by_name.items())]

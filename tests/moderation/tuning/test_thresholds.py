"""What decisions say of a list's threshold, what another would change, and setting it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from gallery.shared.errors import NotFound, UserError
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit.models import AuditEvent
from moderation.cases import statistics
from moderation.cases.models import CaseMatch
from moderation.lists.models import RetroScan
from moderation.tuning import curves, over_time, thresholds
from tests import factories as make
from tests.moderation.factories import ADMIN, make_item, make_list, make_person
from tests.moderation.recorded import CONFIRMED, DISMISSED, NO_CASE, OPEN, record, record_a_tale

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]


MULTIPLY = """
SET LOCAL session_replication_role = replica;
WITH cases AS (
    INSERT INTO moderation_reviewcase (state, origin, verdict, severity, confidence, two_person,
        held, cluster, sampling_weight, evidence, picture, created_at, decided_at,
        legal_hold, legal_hold_reason)
    SELECT state, origin, verdict, severity, confidence, two_person, held, cluster,
        sampling_weight, evidence, picture, created_at, decided_at, false, ''
    FROM moderation_reviewcase, generate_series(1, 49) RETURNING id, state),
numbered AS (SELECT id, row_number() OVER () AS n FROM cases)
INSERT INTO moderation_casematch (case_id, list_id, item_id, sha256, list_name, list_version,
    source, match_type, distance, threshold, observe, verdict, created_at, edit)
SELECT numbered.id, list_id, item_id, md5(copy.n::text), list_name, list_version, source,
    match_type, distance, threshold, observe, verdict, created_at, ''
FROM (SELECT row_number() OVER () AS n, m.* FROM moderation_casematch m, generate_series(1, 49))
    AS copy LEFT JOIN numbered ON numbered.n = copy.n;
SET LOCAL session_replication_role = origin
"""
"""Makes fifty of each match, with cases for most of them. Foreign keys are not checked: that costs
more than the test."""


def seen(on: Any, match_type: str = "pdq") -> thresholds.ThresholdEvidence:
    return thresholds.evidence(by=ADMIN, list_id=on.pk, match_type=match_type)


def rows_of(plan: Any) -> int:
    """The rows that all steps of a plan gave or dropped."""
    own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    own += plan.get("Rows Removed by Join Filter", 0)
    return int(own * plan["Actual Loops"]) + sum(map(rows_of, plan.get("Plans", [])))


def lead() -> Actor:
    return Actor.person(make_person(Role.LEAD))


# --- evidence -------------------------------------------------------------------------------


def test_each_match_is_told_with_what_became_of_it() -> None:
    on, other = make_list(), make_list()
    record(on, [(5, CONFIRMED), (9, DISMISSED), (12, OPEN), (40, NO_CASE)])
    record(on, [(45, DISMISSED)], weight=8.0)
    record(on, [(3, CONFIRMED)], match_type="copy")
    record(other, [(6, CONFIRMED)])
    found = seen(on).evidence
    assert found.distances.tolist() == [5, 9, 12, 40, 45]
    assert found.outcomes.tolist() == [1, 0, -1, -1, 0]
    assert found.weights.tolist() == [1, 1, 1, 1, 8]
    assert found.queued.tolist() == [True, True, True, False, False]


def test_a_subject_counts_once_at_its_nearest_distance() -> None:
    on = make_list()
    one = record(on, [(20, CONFIRMED)])[0]
    rows = record(on, [(11, NO_CASE), (30, NO_CASE)])
    CaseMatch.objects.filter(pk__in=[row.pk for row in rows]).update(sha256=one.sha256)
    found = seen(on).evidence
    assert found.distances.tolist() == [11]
    assert found.outcomes.tolist() == [curves.MatchOutcome.CONFIRMED]


def test_what_was_decided_last_counts() -> None:
    on = make_list()
    first, second = record(on, [(20, CONFIRMED), (20, DISMISSED)])
    assert first.case and second.case
    CaseMatch.objects.filter(pk=second.pk).update(sha256=first.sha256)
    for case, hours in ((first.case, 3), (second.case, 1)):
        case.decided_at = timezone.now() - timedelta(hours=hours)
        case.save()
    assert seen(on).evidence.outcomes.tolist() == [curves.MatchOutcome.DISMISSED]


def test_curves_reach_from_zero_to_the_observe_distance() -> None:
    on = make_list()
    record_a_tale(on)
    found = seen(on)
    assert [point.threshold for point in found.curves.points] == list(range(53))
    near, now = found.curves.at(16), found.curves.at(31)
    assert near is not None and near.precision is not None
    assert now is not None and now.precision is not None and now.recall is not None
    assert near.precision.value > 0.95 > now.precision.value > 0.8
    # Three of 27 sampled were right, and each stood for five: some was missed.
    assert 0.8 < now.recall.value < 0.97
    assert now.recall.low < 0.9


def test_an_allow_list_and_what_is_not_there_have_no_page() -> None:
    allow = make_list(kind="allow")
    for pk, match_type in ((allow.pk, "pdq"), (make_list().pk, "md5"), (10**6, "pdq")):
        with pytest.raises(NotFound):
            thresholds.evidence(by=ADMIN, list_id=pk, match_type=match_type)


def test_nobody_without_a_role_may_read_it() -> None:
    on = make_list()
    nobody = Actor.person(make_person(Role.NOBODY))
    with pytest.raises(NotAllowed):
        thresholds.evidence(by=nobody, list_id=on.pk, match_type="pdq")


def test_fifty_thousand_matches_are_one_query_of_linear_work(
    django_assert_num_queries: Any,
) -> None:
    on = make_list()
    outcomes = [CONFIRMED, DISMISSED, OPEN, NO_CASE, NO_CASE]
    record(on, [(float(n % 53), outcomes[n % 5]) for n in range(1000)])
    with connection.cursor() as cursor:
        cursor.execute(MULTIPLY)
    # One for the list; a savepoint, two settings and its release around the one for the matches.
    with django_assert_num_queries(6) as asked:
        found = seen(on)
    assert len(found.evidence.distances) == 50_000
    (select,) = (query["sql"] for query in asked if "moderation_casematch" in query["sql"])
    with statistics.many_rows() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {select}")
        plan = cursor.fetchone()[0][0]["Plan"]
    assert rows_of(plan) < 20 * 50_000


# --- preview --------------------------------------------------------------------------------


def test_a_raised_threshold_adds_what_lies_between() -> None:
    on = make_list()
    record(on, [(31, CONFIRMED), (32, CONFIRMED), (36, DISMISSED), (40, NO_CASE), (41, NO_CASE)])
    found = thresholds.preview(by=ADMIN, seen=seen(on), proposed=40)
    assert found.move == curves.ThresholdChange(added=3, dropped=0, confirmed=1, dismissed=1)
    assert [match.distance for match in found.matches] == [32, 36, 40]


def test_a_lowered_threshold_drops_what_lies_between() -> None:
    on = make_list()
    record(on, [(20, CONFIRMED), (21, OPEN), (31, DISMISSED), (40, NO_CASE)])
    found = thresholds.preview(by=ADMIN, seen=seen(on), proposed=20)
    assert found.move == curves.ThresholdChange(added=0, dropped=2, confirmed=0, dismissed=1)
    assert [match.distance for match in found.matches] == [31, 21]
    assert found.left_open == 1


def test_a_case_that_something_else_opened_as_well_is_not_left_open_by_a_lower_threshold() -> None:
    on, other = make_list(), make_list()
    first, second, third, fourth = record(on, [(21, OPEN), (25, OPEN), (31, OPEN), (32, NO_CASE)])
    CaseMatch.objects.filter(pk=fourth.pk).update(case=first.case, distance=10)  # nearer, too
    for match, distance in ((second, 31), (third, 40)):  # within, and beyond its threshold
        match.pk, match.list, match.distance = None, other, distance
        match.save()
    found = thresholds.preview(by=ADMIN, seen=seen(on), proposed=20)
    assert found.left_open == 1  # the third
    assert thresholds.preview(by=ADMIN, seen=seen(on), proposed=31).left_open == 0


def test_what_lies_nearer_as_well_does_not_change_sides() -> None:
    on = make_list()
    near, far = record(on, [(10, OPEN), (36, NO_CASE)])
    CaseMatch.objects.filter(pk=far.pk).update(sha256=near.sha256)
    found = thresholds.preview(by=ADMIN, seen=seen(on), proposed=40)
    assert (found.move.added, list(found.matches)) == (0, [])


@pytest.mark.parametrize("proposed", [-1, 53, 20.5, float("nan"), float("inf")])
def test_what_cannot_be_known_cannot_be_proposed(proposed: float) -> None:
    on = make_list()
    with pytest.raises(UserError):
        thresholds.preview(by=ADMIN, seen=seen(on), proposed=proposed)


# --- applying -------------------------------------------------------------------------------


def test_applying_is_audited_and_a_raise_scans_what_is_here() -> None:
    on, by = make_list(), lead()
    done = thresholds.apply(
        by=by, list_id=on.pk, match_type="pdq", threshold=40, reason="recall is poor"
    )
    assert done.method.threshold == 40
    assert done.scan == RetroScan.objects.get(list=on)
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.actor, event.verb, event.reason) == (
        by.name,
        "list.method_changed",
        "recall is poor",
    )
    assert event.before == {"match_type": "pdq", "threshold": None}
    assert event.after == {"match_type": "pdq", "threshold": 40}
    assert seen(on).bounds.threshold == 40


def test_a_lowered_threshold_scans_nothing() -> None:
    on = make_list()
    done = thresholds.apply(
        by=lead(), list_id=on.pk, match_type="pdq", threshold=20, reason="too many false ones"
    )
    assert done.scan is None and not RetroScan.objects.exists()


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_reason_is_needed(reason: str) -> None:
    with pytest.raises(UserError, match="Give a reason"):
        thresholds.apply(
            by=lead(), list_id=make_list().pk, match_type="pdq", threshold=20, reason=reason
        )


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MODERATOR])
def test_only_a_lead_applies(role: Role) -> None:
    on = make_list()
    by = Actor.person(make_person(role))
    with pytest.raises(NotAllowed):
        thresholds.apply(by=by, list_id=on.pk, match_type="pdq", threshold=20, reason="because")
    assert not AuditEvent.objects.exists()


# --- over time ------------------------------------------------------------------------------


def test_precision_by_week_source_and_distance() -> None:
    on = make_list()
    now = timezone.now()
    near = [(5.0, CONFIRMED)] * 30 + [(20.0, DISMISSED)] * 10
    record(on, near, source="StopNCII", decided_at=now)
    record(on, [(5.0, CONFIRMED)] * 3, source="NCMEC", decided_at=now - timedelta(weeks=1))
    record(on, [(45.0, DISMISSED)] * 4, weight=10.0, decided_at=now)
    record(on, [(5.0, CONFIRMED)] * 9, decided_at=now - timedelta(weeks=30))
    found = over_time.precision_over_time(by=ADMIN, list_id=on.pk, match_type="pdq")
    assert [series.name for series in found.sources] == ["NCMEC", "StopNCII"]
    (overall,) = found.overall
    this_week, last_week = overall.weeks[-1], overall.weeks[-2]
    assert (this_week.confirmed, this_week.dismissed) == (30, 10)
    assert this_week.interval is not None and this_week.interval.value == 0.75
    assert (last_week.decided, last_week.interval) == (3, None)
    assert overall.total.decided == 43
    assert {band.name: band.total.decided for band in found.bands} == {
        "0 to 13": 33,
        "13 to 26": 10,
        "39 to 52": 4,
    }


def test_the_least_precise_list_comes_first() -> None:
    good, bad, unknown = make_list("a good one"), make_list("bad"), make_list("unknown")
    record(good, [(5.0, CONFIRMED)] * 40)
    record(bad, [(5.0, CONFIRMED)] * 20 + [(5.0, DISMISSED)] * 20)
    record(unknown, [(5.0, DISMISSED)] * 5)
    rows = [row for row in statistics.precisions(by=ADMIN) if row.match_type == "pdq"]
    assert [row.list for row in rows] == [bad, good, unknown]
    assert rows[-1].rate.interval is None


# --- pages ----------------------------------------------------------------------------------


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(make_person(role))
    return client


def test_the_page_shows_the_proposal_of_its_address() -> None:
    on = make_list("terror")
    record_a_tale(on)
    url = reverse("console:threshold", args=[on.pk, "pdq"])
    text = client_of(Role.LEAD).get(url, {"t": "40"}).content.decode()
    assert "This would <strong>add 68</strong> and <strong>drop 0</strong> cases" in text
    assert 'aria-valuenow="40.0"' in text or 'aria-valuenow="40"' in text
    for odd in ("nan", "-3", "1e99", "word", "20.4"):
        assert client_of(Role.LEAD).get(url, {"t": odd}).status_code == 200


def test_few_decisions_are_said_to_be_few() -> None:
    on = make_list()
    record(on, [(5.0, CONFIRMED)] * 29)
    url = reverse("console:threshold", args=[on.pk, "pdq"])
    text = client_of(Role.VIEWER).get(url).content.decode()
    assert "Too few decisions" in text
    assert "Set by a lead" in text


def test_applying_on_the_page() -> None:
    on = make_list()
    url = reverse("console:threshold", args=[on.pk, "pdq"])
    client = client_of(Role.LEAD)
    answer = client.post(url, {"threshold": "36", "reason": "as previewed"})
    assert answer.status_code == 302
    assert on.methods.get(match_type="pdq").threshold == 36
    wrong = client.post(url, {"threshold": "many", "reason": "x"})
    said = " ".join(str(one) for one in get_messages(wrong.wsgi_request))
    assert "Give the threshold as a number." in said
    refused = client_of(Role.MODERATOR).post(url, {"threshold": "36", "reason": "x"}, follow=True)
    assert "Only a lead may edit lists" in refused.content.decode()


def test_pages_are_for_those_with_a_role() -> None:
    on = make_list()
    for name, args in (("threshold", [on.pk, "pdq"]), ("thresholds", [])):
        url = reverse(f"console:{name}", args=args)
        assert Client().get(url).status_code == 302
        assert client_of(Role.NOBODY).get(url).status_code == 403
        assert client_of(Role.VIEWER).get(url).status_code == 200


def test_pictures_of_matches_are_filtered_and_for_moderators() -> None:
    on = make_list()
    image = make.add_ready_image(make.photo(1))
    (match,) = record(on, [(40, NO_CASE)], image=image)
    url = reverse("console:match-picture", args=[match.pk, "blur"])
    answer = client_of(Role.MODERATOR).get(url)
    assert answer.status_code == 200 and answer["Content-Type"] == "image/jpeg"
    assert "no-store" in answer["Cache-Control"]
    assert client_of(Role.VIEWER).get(url).status_code == 403
    clear = reverse("console:match-picture", args=[match.pk, "clear"])
    assert client_of(Role.MODERATOR).get(clear).status_code == 404


def test_the_overview_links_to_each_threshold() -> None:
    on = make_list("terror")
    record_a_tale(on)
    make_item(on)
    text = client_of(Role.VIEWER).get(reverse("console:thresholds")).content.decode()
    assert reverse("console:threshold", args=[on.pk, "pdq"]) in text

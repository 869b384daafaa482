"""A list in shadow learns from decisions about a share of its matches, and nothing else changes."""

from __future__ import annotations

import pytest
from django.db.models import F

from gallery.items.models import Image
from moderation.access.permissions import Actor, Role
from moderation.cases import deciding, undoing
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.lists import rescans
from moderation.lists.models import BannedList
from moderation.lists.verdicts import Action
from moderation.pipeline import rescan
from moderation.tuning import thresholds
from moderation.webhooks.models import Delivery, Webhook, WebhookEvent
from tests.factories import photo
from tests.moderation.factories import ADMIN, make_item, make_list, make_person
from tests.moderation.pipeline.test_gates import add, flipped, pdq_of

pytestmark = pytest.mark.django_db

UPLOADS = 32


def uploaded(on: BannedList, count: int = UPLOADS) -> list[Image]:
    """Every second within the threshold, the others beyond it."""
    for seed in range(count):
        distance = 20 if seed % 2 else 40
        make_item(on, ("pdq", flipped(pdq_of(photo(seed)), distance), 90))
    return [add(photo(seed)) for seed in range(count)]


def statuses() -> set[str]:
    return set(Image.objects.values_list("status", flat=True))


@pytest.mark.slow
def test_decisions_about_uploads_tell_how_good_a_threshold_is_and_hide_nothing() -> None:
    Webhook.objects.create(
        url="http://127.0.0.1:9/", secret="s" * 32, events=[WebhookEvent.DECISION]
    )
    on = make_list(action=Action.SHADOW, observe_share=1.0)
    uploaded(on)
    assert statuses() == {"ready"}
    cases = ReviewCase.objects.filter(origin="shadow")
    assert cases.count() == ReviewCase.objects.count() == UPLOADS
    near = cases.filter(matches__distance__lte=F("matches__threshold"))
    far = cases.exclude(pk__in=near.values("pk"))
    moderator = Actor.person(make_person(Role.MODERATOR))
    batch = deciding.decide(
        by=moderator, case_ids=near.values_list("pk", flat=True), verb="confirm"
    )
    deciding.decide(by=moderator, case_ids=far.values_list("pk", flat=True), verb="dismiss")
    assert statuses() == {"ready"}
    assert not ReviewCase.objects.filter(held=True).exists()
    assert not Delivery.objects.exists()
    seen = thresholds.evidence(by=ADMIN, list_id=on.pk, match_type="pdq")
    assert seen.evidence.decided == UPLOADS
    beyond = seen.curves.at(52)
    assert beyond is not None and beyond.precision is not None
    assert beyond.precision.value == pytest.approx(0.5)
    # Undoing has nothing to bring back.
    undoing.undo_batch(by=moderator, batch_id=batch.pk, reason="a slip")
    assert statuses() == {"ready"}
    assert cases.filter(state="open", held=False).count() == UPLOADS // 2


@pytest.mark.slow
def test_a_share_is_drawn_within_and_beyond_and_says_for_how_many_it_stands() -> None:
    on = make_list(action=Action.SHADOW, observe_share=0.5)
    uploaded(on)
    drawn = CaseMatch.objects.filter(case__isnull=False)
    within = drawn.filter(distance__lte=F("threshold")).count()
    assert 0 < within < UPLOADS // 2 and 0 < drawn.count() - within < UPLOADS // 2
    assert set(drawn.values_list("case__sampling_weight", "case__origin")) == {(2.0, "shadow")}
    assert CaseMatch.objects.count() == UPLOADS
    on.observe_share = 0.0
    on.save()
    before = ReviewCase.objects.count()
    make_item(on, ("pdq", pdq_of(photo(99)), 90))
    assert add(photo(99)).status == "ready" and ReviewCase.objects.count() == before


def test_a_case_of_another_list_does_not_keep_a_subject_out_of_the_sample() -> None:
    acting = make_list(action=Action.REVIEW)
    make_item(acting, ("pdq", pdq_of(photo(1)), 90))
    on = make_list(action=Action.SHADOW, observe_share=1.0)
    make_item(on, ("pdq", flipped(pdq_of(photo(1)), 10), 90))
    add(photo(1))
    assert sorted(ReviewCase.objects.values_list("origin", flat=True)) == ["shadow", "upload"]


def test_once_the_list_acts_what_was_said_in_shadow_hides_nothing_but_is_asked_again() -> None:
    on = make_list(action=Action.SHADOW, observe_share=1.0)
    for seed in range(3):
        make_item(on, ("pdq", pdq_of(photo(seed)), 90))
    confirmed, dismissed, undecided = (add(photo(seed)) for seed in range(3))
    moderator = Actor.person(make_person(Role.MODERATOR))
    for image, verb in ((confirmed, "confirm"), (dismissed, "dismiss")):
        case = ReviewCase.objects.get(image=image)
        deciding.decide(by=moderator, case_ids=[case.pk], verb=verb)
    BannedList.objects.update(action=Action.BLOCK)
    scan = rescans.start(by=ADMIN, list_id=on.pk, reason="test")
    assert rescan.run(scan.pk)
    found = [Image.objects.get(pk=image.pk).status for image in (confirmed, dismissed, undecided)]
    assert found == ["quarantined", "ready", "quarantined"]
    asked = ReviewCase.objects.filter(origin="retro_scan").values_list("image", flat=True)
    assert set(asked) == {confirmed.pk, undecided.pk}
    # Nor is anything asked twice.
    scan = rescans.start(by=ADMIN, list_id=on.pk, reason="test")
    assert rescan.run(scan.pk) and ReviewCase.objects.count() == 5

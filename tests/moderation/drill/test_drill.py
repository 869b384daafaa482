"""The drill through the real pipeline: what it proves, and when it fails."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from gallery.items import describing
from gallery.items.models import Image
from gallery.management.demo_pictures import EDITS
from imgsmlr_site.metrics import DatabaseCollector
from moderation.access.permissions import Role
from moderation.cases.models import ReviewCase
from moderation.drill import running
from moderation.drill.models import Drill
from moderation.lists.models import BannedItem, BannedList
from moderation.tasks import start_drill
from moderation.webhooks.models import Delivery, Webhook, WebhookEvent
from tests.moderation.factories import make_list, make_person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]


def describe() -> None:
    """What the workers do."""
    images = Image.objects.filter(data_id__startswith="drill/")
    describing.describe_images(list(images.values_list("pk", flat=True)))


def metric(name: str) -> float | None:
    found = {one.name: one for one in DatabaseCollector().collect()}
    samples = found[name].samples
    return samples[0].value if samples else None


@pytest.mark.slow
def test_all_copies_are_found_and_nothing_stays(client: Client) -> None:
    assert metric("drill_passed") is None
    drill = running.start()
    assert running.start() == drill, "one at a time"
    assert len(drill.images) == 3
    assert running.finish().state == Drill.State.RUNNING  # type: ignore[union-attr]
    describe()
    ended = running.finish()
    assert ended is not None
    assert (ended.state, ended.missed) == (Drill.State.PASSED, [])
    assert not Image.objects.exists() and not ReviewCase.objects.exists()
    assert metric("drill_passed") == 1
    assert running.finish() is None
    # The next one finds its list and its item there.
    running.start()
    describe()
    assert running.finish().state == Drill.State.PASSED  # type: ignore[union-attr]
    assert BannedItem.objects.count() == 1
    client.force_login(make_person(Role.VIEWER))
    page = client.get("/admin/moderation/dashboard/").content.decode()
    assert "The drill found all its copies" in page


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["the gate is off", "the list is off", "pdq and copy are off"])
def test_it_fails_when_matching_is_switched_off(client: Client, settings: Any, broken: str) -> None:
    hook = Webhook.objects.create(url="https://example.org/", events=[WebhookEvent.DRILL_FAILED])
    running.start()
    if broken == "the gate is off":
        settings.PUBLISHING_GATES = ()
    elif broken == "the list is off":
        BannedList.objects.update(enabled=False)
    else:
        BannedList.objects.get().methods.update(enabled=False)
    describe()
    ended = running.finish()
    assert ended is not None
    assert ended.state == Drill.State.FAILED
    assert ended.missed == [f"The copy “{name}” was not found." for name in EDITS]
    assert not Image.objects.exists()
    assert metric("drill_passed") == 0
    (message,) = Delivery.objects.filter(webhook=hook)
    assert message.event == "drill.failed"
    client.force_login(make_person(Role.VIEWER))
    page = client.get("/admin/moderation/dashboard/").content.decode()
    assert "The filter failed its drill" in page
    assert "cropped” was not found" in page


def test_copies_that_are_not_screened_in_time() -> None:
    running.start()
    Drill.objects.update(started_at=timezone.now() - running.LIMIT - timedelta(seconds=1))
    ended = running.finish()
    assert ended is not None
    assert ended.state == Drill.State.FAILED
    assert "was not screened within 10 minutes" in ended.missed[0]
    assert not Image.objects.exists()


def test_what_starts_it(settings: Any) -> None:
    assert start_drill() is False, "nothing filters yet"
    make_list("terror")
    settings.DRILL = False
    assert start_drill() is False
    settings.DRILL = True
    assert start_drill() is True
    assert Drill.objects.count() == 1


def test_the_command_says_what_is_wrong() -> None:
    with pytest.raises(CommandError, match="do the workers run"):
        call_command("drill", "--seconds", "0.1")
    settings_of = BannedList.objects.get(name=running.LIST)
    settings_of.methods.update(enabled=False)
    describe()
    with pytest.raises(CommandError, match="was not found"):
        call_command("drill", "--seconds", "5")

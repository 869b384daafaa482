"""Stored items that are screened again: attempts are counted, whatever ends the worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from gallery.items.models import Image
from gallery.shared.errors import StorageAway
from moderation import tasks
from moderation.cases.models import ReviewCase
from moderation.lists import rescans
from moderation.lists.models import Rescreening, RetroScan
from moderation.pipeline import rescan, rescreening
from tests.environment import DATA_DIR
from tests.factories import add_ready_image, photo
from tests.moderation.factories import ADMIN, make_item, make_list
from tests.moderation.pipeline.test_gates import pdq_of
from tests.moderation.pipeline.test_rescan import status

pytestmark = pytest.mark.django_db(transaction=True)

ENDS = """
import os, signal, sys
import django
django.setup()
from django.conf import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
from moderation.pipeline import rescreening

screen = rescreening.screen
def end(row, lists):
    if row.pk == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return screen(row, lists)

rescreening.screen = end
exec(sys.argv[3])
"""


def worker(deadly: Image, work: str) -> int:
    """A worker that is killed by one picture. Returns how it ended."""
    name = str(connection.settings_dict["NAME"])
    return subprocess.run(
        [sys.executable, "-c", ENDS, name, str(deadly.pk), work],
        env={
            **os.environ,
            "DATA_DIR": str(DATA_DIR),
            "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings",
            "PYTHONPATH": str(settings.BASE_DIR),
        },
        check=False,
    ).returncode


def twice_more() -> None:
    """Two more workers were killed, and their leases have run out. A kill is two seconds' work."""
    over = timezone.now() - timedelta(seconds=1)
    Rescreening.objects.filter(attempts=1).update(claimed_until=over, attempts=3)
    RetroScan.objects.exclude(claimed_until=None).update(claimed_until=over)


@pytest.mark.slow
def test_an_item_that_ends_its_worker_is_given_up() -> None:
    deadly, banned = add_ready_image(photo(1)), add_ready_image(photo(2))
    make_item(make_list(), ("pdq", pdq_of(photo(2)), 90))
    rescans.screen_images([deadly.pk, deadly.pk, banned.pk])
    assert worker(deadly, "rescreening.run()") == -signal.SIGKILL
    # Meanwhile the lease runs, and another worker does the rest.
    assert (tasks.screen_waiting(), status(banned)) == (1, "quarantined")
    row = Rescreening.objects.get()
    assert (row.item, row.attempts, status(deadly)) == (deadly.pk, 1, "ready")
    twice_more()
    assert (tasks.screen_waiting(), status(deadly)) == (1, "quarantined")
    case = ReviewCase.objects.get(image=deadly)
    assert (case.held, case.verdict, case.origin) == (True, "review", "retro_scan")
    assert rescreening.ENDS_WORKERS in str(case.evidence)
    assert not Rescreening.objects.exists()


@pytest.mark.slow
def test_a_scan_goes_on_after_an_item_that_ends_its_worker() -> None:
    deadly, other = add_ready_image(photo(1)), add_ready_image(photo(2))
    on = make_list()
    for image in (deadly, other):
        make_item(on, ("md5", image.md5))
    scan = rescans.start(by=ADMIN, list_id=on.pk, reason="test")
    work = f"from moderation.pipeline import rescan; rescan.run({scan.pk})"
    assert worker(deadly, work) == -signal.SIGKILL
    twice_more()
    assert rescreening.run() == 0, "the scan's own items do not wait for others"
    assert rescan.run_left_over() == 1
    assert (status(deadly), status(other)) == ("quarantined", "quarantined")
    assert not Rescreening.objects.exists()


def test_what_is_asked_for_while_it_is_screened_is_screened_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = add_ready_image(photo(1))
    make_item(make_list(), ("pdq", pdq_of(photo(9)), 90))
    rescans.screen_images([image.pk])
    screen = rescreening.screen

    def changes(row: Image, lists: object) -> object:
        monkeypatch.setattr(rescreening, "screen", screen)
        found = screen(row, lists)  # type: ignore[arg-type]
        make_item(make_list(), ("pdq", pdq_of(photo(1)), 90))
        rescans.screen_images([row.pk])
        return found

    monkeypatch.setattr(rescreening, "screen", changes)
    assert rescreening.run() == 2
    assert status(image) == "quarantined"


def test_a_storage_that_is_away_is_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    image = add_ready_image(photo(1))
    make_item(make_list(), ("pdq", pdq_of(photo(1)), 90))
    Image.objects.filter(pk=image.pk).update(status="ready")
    rescans.screen_images([image.pk])

    def away(*_: object) -> None:
        raise StorageAway

    with monkeypatch.context() as patched:
        patched.setattr(rescreening, "screen", away)
        for _ in range(4):
            with pytest.raises(StorageAway):
                rescreening.run()
    assert Rescreening.objects.get().attempts == 0
    assert rescreening.run() == 1
    assert status(image) == "quarantined"

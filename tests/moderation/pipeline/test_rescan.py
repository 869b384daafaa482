"""Scans: what is already here is found, hidden if it is banned, and asked about once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image as Pillow

from gallery.items import file_storage
from gallery.items.models import Image
from gallery.shared.errors import StorageAway
from gallery.shared.fork_server import CannotStart
from moderation.access.permissions import Actor, Role
from moderation.cases import deciding
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.lists import item_adding, list_writes, rescans
from moderation.lists.item_vectors import as_array
from moderation.lists.models import BannedList, RetroScan
from moderation.lists.verdicts import Action
from moderation.pipeline import rescan, rescreening
from moderation.screening import rescan_candidates
from tests.broken_decoders import broken_decoders
from tests.environment import DATA_DIR
from tests.factories import add_ready_image, jpeg, photo, png, wheel_photo
from tests.moderation.factories import ADMIN, make_item, make_list, make_person
from tests.moderation.pipeline.test_gates import flipped, gif, pdq_of

pytestmark = pytest.mark.django_db


def scan(on: BannedList, **options: Any) -> RetroScan:
    found = rescans.start(by=ADMIN, list_id=on.pk, reason="test", **options)
    assert rescan.run(found.pk)
    found.refresh_from_db()
    assert found.state == "done", found.failure
    return found


def status(image: Image) -> str:
    image.refresh_from_db()
    return image.status


def test_a_new_item_hides_what_is_already_here() -> None:
    image, other = add_ready_image(photo(1)), add_ready_image(photo(2))
    on = list_writes.create_list(by=ADMIN, name="new", action=Action.BLOCK)
    item = item_adding.add_hashes(by=ADMIN, list_id=on.pk, hashes=[("pdq", pdq_of(photo(1)), 90)])
    (waiting,) = RetroScan.objects.all()
    assert waiting.item == item and rescan.run(waiting.pk)
    assert (status(image), status(other)) == ("quarantined", "ready")
    case = ReviewCase.objects.get()
    assert (case.origin, case.verdict, case.held, case.image) == (
        "retro_scan", "block", True, image,
    )  # fmt: skip
    waiting.refresh_from_db()
    assert (waiting.state, waiting.total, waiting.done) == ("done", 1, 1)
    assert (waiting.found, waiting.cases) == (1, 1)


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
def test_files_are_found_by_each_kind_of_hash(kind: str) -> None:
    image = add_ready_image(photo(1))
    on = make_list()
    make_item(on, (kind, getattr(image, kind)))
    scan(on)
    assert status(image) == "quarantined"


@pytest.mark.parametrize("turn", list(Pillow.Transpose))
def test_turned_pictures_are_found_by_a_hash_alone(turn: Pillow.Transpose) -> None:
    picture = wheel_photo("coffee.png")
    image = add_ready_image(picture.transpose(turn))
    on = make_list()
    make_item(on, ("pdq", pdq_of(picture), 90))
    scan(on)
    assert status(image) == "quarantined"


def test_review_asks_without_hiding_what_people_find() -> None:
    image = add_ready_image(photo(1))
    on = make_list(action=Action.REVIEW)
    make_item(on, ("md5", image.md5))
    scan(on)
    assert status(image) == "ready"
    case = ReviewCase.objects.get()
    assert (case.verdict, case.held) == ("review", False)


def test_a_scan_that_is_repeated_changes_nothing() -> None:
    image = add_ready_image(photo(1))
    on = make_list()
    make_item(on, ("pdq", flipped(pdq_of(photo(1)), 10), 90), ("md5", image.md5))
    first = scan(on)
    rows, cases = CaseMatch.objects.count(), ReviewCase.objects.count()
    assert (first.cases, cases) == (1, 1)
    second = scan(on)
    assert (second.found, second.cases) == (1, 0)
    assert (CaseMatch.objects.count(), ReviewCase.objects.count()) == (rows, cases)


def test_what_was_found_harmless_is_not_hidden_again() -> None:
    image = add_ready_image(photo(1))
    on = make_list()
    make_item(on, ("md5", image.md5))
    scan(on)
    ReviewCase.objects.update(state="dismissed", decided_at=timezone.now(), held=False)
    Image.objects.update(status="ready")
    scan(on)
    assert status(image) == "ready" and ReviewCase.objects.count() == 1


def test_another_item_joins_the_case_that_is_open() -> None:
    image = add_ready_image(photo(1))
    weak, strong = make_list(action=Action.REVIEW), make_list(severity=4)
    make_item(weak, ("md5", image.md5))
    make_item(strong, ("sha1", image.sha1))
    scan(weak)
    assert status(image) == "ready" or ReviewCase.objects.get().verdict == "block"
    scan(strong)
    case = ReviewCase.objects.get()
    assert (case.verdict, case.severity, case.held) == ("block", 4, True)
    assert case.matches.count() == 2 and status(image) == "quarantined"


def test_a_held_picture_is_looked_for_too() -> None:
    image = add_ready_image(photo(1))
    Image.objects.update(status="quarantined")
    on = make_list()
    make_item(on, ("md5", image.md5))
    assert scan(on).cases == 1
    assert ReviewCase.objects.get().held


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "found"),
    [(None, "quarantined"), ("confirm", "quarantined"), ("dismiss", "ready")],
)
@pytest.mark.parametrize("observe_share", [0.0, 1.0])
def test_a_raised_threshold_is_scanned_for(
    observe_share: float, verb: str | None, found: str
) -> None:
    """Also where the near miss became a sample case that nobody has decided."""
    image = add_ready_image(photo(1))
    on = list_writes.create_list(
        by=ADMIN, name="new", action=Action.BLOCK, observe_share=observe_share
    )
    make_item(on, ("pdq", flipped(pdq_of(photo(1)), 40), 90))
    scan(on)
    assert status(image) == "ready"
    samples = ReviewCase.objects.values_list("pk", flat=True)
    assert len(samples) == observe_share
    if verb and samples:
        moderator = Actor.person(make_person(Role.MODERATOR))
        deciding.decide(by=moderator, case_ids=list(samples), verb=verb)
    list_writes.change_method(by=ADMIN, list_id=on.pk, match_type="pdq", threshold=40)
    newest = RetroScan.objects.order_by("-id")[0]
    assert newest.state == "pending" and rescan.run(newest.pk)
    assert status(image) == (found if samples else "quarantined")
    asked = ReviewCase.objects.filter(origin="retro_scan")
    assert asked.count() == (0 if verb and samples else 1)


def test_a_crop_that_is_here_is_found_by_its_picture() -> None:
    picture = wheel_photo("astronaut.png")
    width, height = picture.size
    crop = picture.crop((width // 6, height // 6, width * 5 // 6, height * 5 // 6))
    image = add_ready_image(crop, inline=("imgsmlr", "pdq", "copy"))
    other = add_ready_image(wheel_photo("coffee.png"), inline=("imgsmlr", "pdq", "copy"))
    on = make_list()
    item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(picture))
    scan(on)
    assert (status(image), status(other)) == ("quarantined", "ready")
    assert {match.match_type for match in ReviewCase.objects.get().matches.all()} == {"copy"}


def test_a_frame_of_an_animation_that_is_here_is_found() -> None:
    data = gif([photo(seed, (200, 150)) for seed in range(12)], duration=100)
    image = add_ready_image(data=data)
    animation = Pillow.open(__import__("io").BytesIO(data))
    animation.seek(7)
    on = make_list()
    make_item(on, ("pdq", pdq_of(animation.convert("RGB")), 90))
    scan(on)
    assert status(image) == "quarantined"
    assert ReviewCase.objects.get().matches.get().frame == 7


def test_what_is_left_of_a_picture_is_enough(settings: Any) -> None:
    settings.KEEP_ORIGINALS = "none"
    picture = wheel_photo("chelsea.png", 300)
    image = add_ready_image(picture, inline=("imgsmlr", "pdq", "copy"))
    assert not image.original
    on = make_list()
    make_item(on, ("pdq", pdq_of(picture.transpose(Pillow.Transpose.ROTATE_90)), 90))
    scan(on)
    assert status(image) == "quarantined"


def test_a_list_that_is_off_finds_nothing() -> None:
    image = add_ready_image(photo(1))
    on = make_list(enabled=False)
    make_item(on, ("md5", image.md5))
    scan(on)
    assert status(image) == "ready"


def test_every_stored_hash_within_reach_is_a_suspect() -> None:
    from gallery.items.models import ImageFingerprint

    random = np.random.default_rng(3)
    value = random.bytes(32)
    pictures = []
    for distance in range(40):
        bits = np.zeros(256, np.uint8)
        bits[random.permutation(256)[:distance]] = 1
        near = np.unpackbits(np.frombuffer(value, np.uint8)) ^ bits
        pictures.append((distance, "".join(map(str, near))))
    image = add_ready_image(photo(1))
    expected = set()
    for number, (distance, bits_) in enumerate(pictures):
        row = Image.objects.get(pk=image.pk)
        row.pk, row.md5 = None, f"{number:032x}"
        row.save(force_insert=True)
        ImageFingerprint.objects.create(item=row, version="pixels-1", pdq=bits_, pdq_quality=80)
        if distance <= 31:
            expected.add(row.pk)
    on = make_list()
    item = make_item(on, ("pdq", value.hex(), 90))
    from moderation.lists import policies

    found = rescan_candidates.of_items([item], policies.current()[on.pk])
    assert expected <= found.images


def test_match_all_tells_what_it_did() -> None:
    image = add_ready_image(photo(1))
    on = make_list("wanted")
    make_item(on, ("md5", image.md5))
    make_list("off", enabled=False)
    out = StringIO()
    call_command("match_all", stdout=out)
    assert "wanted: done, 1 items compared, 1 matches, 1 new cases." in out.getvalue()
    assert "off" not in out.getvalue() and status(image) == "quarantined"
    from django.core.management.base import CommandError

    with pytest.raises(CommandError, match="nowhere"):
        call_command("match_all", "--list", "nowhere", stdout=out)


@pytest.mark.django_db(transaction=True)
def test_a_scan_waits_for_uploads_that_may_not_know_the_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rescreening, "UPLOADS_WAIT_SECONDS", 0.3)
    image = add_ready_image(photo(1))
    on = make_list()
    make_item(on, ("md5", image.md5))
    other = psycopg2.connect(
        host=connection.settings_dict["HOST"],
        port=connection.settings_dict["PORT"],
        user=connection.settings_dict["USER"],
        password=connection.settings_dict["PASSWORD"],
        dbname=connection.settings_dict["NAME"],
    )
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
        found = rescans.start(by=ADMIN, list_id=on.pk, reason="test")
        assert not rescan.run(found.pk)
        found.refresh_from_db()
        assert found.state == "running" and found.claimed_until is None
        other.commit()
    finally:
        other.close()
    assert rescan.run_left_over() == 1
    assert status(image) == "quarantined"


KILLED = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "imgsmlr_site.settings"
import django
django.setup()
from django.db import connection
connection.settings_dict["NAME"] = sys.argv[1]
from moderation.pipeline import rescan, rescreening
rescan.BATCH_ITEMS = 1
def tell(scan):
    print(scan.done, flush=True)
    if scan.done == 2:
        import time
        time.sleep(60)
rescan.run(int(sys.argv[2]), tell=tell)
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_scan_goes_on_after_what_it_had_done(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [add_ready_image(photo(seed)) for seed in range(4)]
    on = make_list()
    for image in images:
        make_item(on, ("md5", image.md5))
    with transaction.atomic():
        found = rescans.start(by=ADMIN, list_id=on.pk, reason="test")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(connection.settings_dict["NAME"]), str(found.pk)],
        env={
            **os.environ,
            "DATA_DIR": str(DATA_DIR),
            "PYTHONPATH": str(settings.BASE_DIR),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while process.stdout.readline().strip() != "2":
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert [status(image) for image in images] == ["quarantined"] * 2 + ["ready"] * 2
    # Its lease still runs; nobody else has begun again.
    assert rescan.run_left_over() == 0
    RetroScan.objects.update(claimed_until=timezone.now())
    assert rescan.run_left_over() == 1
    assert {status(image) for image in images} == {"quarantined"}
    found.refresh_from_db()
    assert (found.state, found.total, found.done, found.cases) == ("done", 4, 4, 4)
    assert ReviewCase.objects.count() == 4


def animation(shown: Pillow.Image) -> bytes:
    """Three pictures, the last of which is a part of another one."""
    width, height = shown.size
    part = shown.crop((width // 5, height // 5, width * 4 // 5, height * 4 // 5))
    frames = [photo(1, (200, 150)), photo(2, (200, 150)), part.resize((200, 150))]
    return gif(frames, duration=100)


def test_a_copy_in_a_later_frame_of_what_is_here_is_found() -> None:
    picture = wheel_photo("astronaut.png")
    every = ("imgsmlr", "pdq", "copy")
    image = add_ready_image(data=animation(picture), inline=every)
    other = add_ready_image(data=animation(wheel_photo("coffee.png")), inline=every)
    on = make_list()
    item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(picture))
    done = scan(on)
    assert (status(image), status(other)) == ("quarantined", "ready")
    (match,) = ReviewCase.objects.get().matches.all()
    assert (match.match_type, match.frame) == ("copy", 2)
    assert (done.found, done.cases, done.unseen, done.animation) == (1, 1, 0, other.pk)


def test_animations_are_gone_through_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = wheel_photo("astronaut.png")
    shown = [photo(1), photo(3), picture]
    images = [add_ready_image(data=animation(one), inline=("copy", "pdq")) for one in shown]
    on = make_list()
    item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(picture))
    monkeypatch.setattr(rescan, "BATCH_ANIMATIONS", 1)
    monkeypatch.setattr(rescan, "TASK_SECONDS", 0.0)
    found = rescans.start(by=ADMIN, list_id=on.pk, reason="test")
    reached = []
    while not rescan.run(found.pk):
        found.refresh_from_db()
        assert found.state == "running"
        reached.append(found.animation)
    assert reached == [0, *(image.pk for image in images)]
    assert [status(image) for image in images] == ["ready", "ready", "quarantined"]


def test_animations_without_an_original_are_counted(settings: Any) -> None:
    settings.KEEP_ORIGINALS = "none"
    picture = wheel_photo("astronaut.png")
    image = add_ready_image(data=animation(picture), inline=("imgsmlr", "pdq", "copy"))
    still = add_ready_image(photo(5), inline=("imgsmlr", "pdq", "copy"))
    assert not image.original and not still.original
    on = make_list("wanted")
    item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(picture))
    found = scan(on)
    assert found.unseen == 1 and status(image) == "ready"
    client = Client()
    client.force_login(make_person(Role.LEAD))
    page = client.get(reverse("console:scan", args=[found.pk]), {"part": "1"}).content.decode()
    assert "<dt>Animations compared only in part</dt><dd>1</dd>" in page
    out = StringIO()
    call_command("match_all", stdout=out)
    assert "wanted: the later frames of 1 animations could not be compared" in out.getvalue()
    # By hashes alone nothing of it is needed.
    BannedList.objects.get().methods.filter(match_type="copy").update(enabled=False)
    assert scan(on).unseen == 0


def test_every_stored_vector_is_compared_whatever_an_index_proposes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gallery.items.models import ImageFingerprint
    from moderation.screening import rescan_candidates

    picture = wheel_photo("chelsea.png")
    on = make_list()
    item = item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(picture))
    vector = as_array(item.fingerprints.get(cnn__isnull=False).cnn).astype(np.float64)
    vector /= np.linalg.norm(vector)
    random = np.random.default_rng(4)
    image, expected = add_ready_image(photo(1)), set()
    for number, distance in enumerate(np.linspace(0.0, 0.6, 121)):
        away = random.normal(size=vector.shape)
        away -= (away @ vector) * vector
        angle = np.arccos(1.0 - distance)
        near = np.cos(angle) * vector + np.sin(angle) * away / np.linalg.norm(away)
        row = Image.objects.get(pk=image.pk)
        row.pk, row.md5 = None, f"{number:032x}"
        row.save(force_insert=True)
        ImageFingerprint.objects.create(item=row, version="copy-1", cnn=near)
        if distance < rescan_candidates.ALIKE - 0.002:
            expected.add(row.pk)
    monkeypatch.setattr(rescan_candidates, "STORED_VECTORS", 7)
    found = rescan_candidates.copies([item.pk], lambda: None)
    assert len(expected) > rescan_candidates.VERIFIED and expected <= found.images
    assert len(found.images - expected) <= 1


def waiting() -> list[RetroScan]:
    return list(RetroScan.objects.order_by("id"))


@pytest.fixture
def originals_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The images whose originals were read, which is done once for each screening."""
    read: list[int] = []
    read_original = file_storage.read_original

    def counted(image: Image) -> bytes:
        read.append(image.pk)
        return read_original(image)

    monkeypatch.setattr(file_storage, "read_original", counted)
    return read


@pytest.mark.slow
@pytest.mark.parametrize("together", [True, False])
def test_rescans_that_wait_together_screen_each_picture_once(
    originals_read: list[int], monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    """With the same result as one after the other, which read each original three times."""
    images = [add_ready_image(data=jpeg(photo(1), quality)) for quality in (75, 80, 85, 90)]
    other = add_ready_image(photo(2))
    on = make_list()
    items = [
        item_adding.add_hashes(
            by=ADMIN, list_id=on.pk, hashes=[("pdq", flipped(pdq_of(photo(1)), bits), 90)]
        )
        for bits in (0, 4, 8)
    ]
    if not together:
        monkeypatch.setattr(rescan, "BATCH_ITEMS", 1)
    scans = waiting()
    assert [rescan.run(scan.pk) for scan in scans] == [True, not together, not together]
    assert len(originals_read) == (4 if together else 12)
    assert [status(image) for image in (*images, other)] == ["quarantined"] * 4 + ["ready"]
    found = set(CaseMatch.objects.values_list("image", "item", "match_type", "verdict"))
    assert found == {(image.pk, item.pk, "pdq", "block") for image in images for item in items}
    counts = [(scan.state, scan.done, scan.found, scan.cases) for scan in waiting()]
    assert counts == [("done", 1, 4, 4), ("done", 1, 4, 0), ("done", 1, 4, 0)]


def test_rescans_that_wait_together_screen_each_animation_once(originals_read: list[int]) -> None:
    every = ("imgsmlr", "pdq", "copy")
    pictures = [wheel_photo(name) for name in ("astronaut.png", "coffee.png", "chelsea.png")]
    images = [add_ready_image(data=animation(one), inline=every) for one in pictures]
    on = make_list()
    for picture in pictures[:2]:
        item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(picture))
    originals_read.clear()
    # The first one was stopped after the first animation.
    first, _ = waiting()
    RetroScan.objects.filter(pk=first.pk).update(animation=images[0].pk)
    assert rescan.run_left_over() == 2
    assert sorted(originals_read) == [image.pk for image in images]
    assert [status(image) for image in images] == ["quarantined", "quarantined", "ready"]
    assert [scan.animation for scan in waiting()] == [images[2].pk] * 2
    assert [scan.found for scan in waiting()] == [0, 1]


def test_an_error_of_one_rescan_fails_no_other(caplog: pytest.LogCaptureFixture) -> None:
    image = add_ready_image(wheel_photo("coffee.png"), inline=("imgsmlr", "pdq", "copy"))
    on = make_list()
    broken = item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(wheel_photo("chelsea.png")))
    broken.fingerprints.update(features=b"damaged")
    item_adding.add_hashes(by=ADMIN, list_id=on.pk, hashes=[("md5", image.md5, None)])
    first, _ = waiting()
    assert rescan.run(first.pk)
    assert [scan.state for scan in waiting()] == ["failed", "done"]
    assert "NotLocalFeatures" in waiting()[0].failure
    assert status(image) == "quarantined"


@pytest.mark.parametrize("lacks", ["decoders", "storage"])
def test_a_rescan_waits_for_what_the_service_lacks(
    tmp_path: Path, settings: Any, lacks: str
) -> None:
    """A picture that cannot be compared gets a case, but this is no fault of the picture. A banned
    file is hidden at once."""
    images = [add_ready_image(photo(seed)) for seed in (1, 2)]
    on = make_list()
    for kind, value in (("md5", images[0].md5), ("pdq", pdq_of(photo(2)))):
        item_adding.add_hashes(by=ADMIN, list_id=on.pk, hashes=[(kind, value, None)])
    if lacks == "decoders":
        with broken_decoders(tmp_path), pytest.raises(CannotStart):
            rescan.run_left_over()
    else:
        aside = settings.MEDIA_ROOT.rename(tmp_path / "aside")
        with pytest.raises(StorageAway):
            rescan.run_left_over()
        aside.rename(settings.MEDIA_ROOT)
    assert [status(image) for image in images] == ["quarantined", "ready"]
    assert ReviewCase.objects.get().image == images[0]
    assert {scan.state for scan in waiting()} == {"running"}
    RetroScan.objects.update(claimed_until=timezone.now())
    assert rescan.run_left_over() == 2
    assert set(ReviewCase.objects.values_list("image", flat=True)) == {one.pk for one in images}


def test_a_rescan_that_is_deleted_ends_no_other() -> None:
    image, other = add_ready_image(photo(1)), add_ready_image(photo(2))
    on = make_list()
    hashes = [[("md5", one.md5, None)] for one in (image, other)]
    for own in hashes:
        item_adding.add_hashes(by=ADMIN, list_id=on.pk, hashes=own)
    first, second = waiting()
    RetroScan.objects.filter(pk=second.pk).update(state="running")
    assert not rescan.run(first.pk, tell=lambda _: RetroScan.objects.filter(pk=first.pk).delete())
    assert [(scan.pk, scan.state) for scan in waiting()] == [(second.pk, "done")]
    third = rescans.start(by=ADMIN, list_id=on.pk, reason="test")
    assert not rescan.run(third.pk, tell=lambda scan: scan.delete())
    assert [status(one) for one in (image, other)] == ["quarantined"] * 2

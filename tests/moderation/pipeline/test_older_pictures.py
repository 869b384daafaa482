"""After an upgrade: what images and videos show that older code did not look at."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django_q.models import OrmQ
from PIL import Image as Pillow

from gallery.imaging import decoding, descriptors
from gallery.items import conf, reprocessing
from gallery.items.fingerprint_storage import store_fingerprints
from gallery.items.item import UNREADABLE
from gallery.items.models import PICTURES_VERSION, Image, ImageFingerprint
from gallery.items.preprocessing import describe
from gallery.search.image_search import ImageQuery, search_images
from gallery.tasks import embed_images, look_through
from moderation.lists.models import Rescreening
from moderation.tasks import screen_waiting
from tests import factories as make
from tests.environment import DATA_DIR
from tests.moderation.factories import make_item, make_list
from tests.moderation.pipeline.test_gates import pdq_of
from tests.moderation.pipeline.test_rescan import scan, status
from tests.moderation.screening.test_video_pictures import banned, flashed
from tests.shown_files import mirage, veiled
from tests.videos.clips import encode
from tests.videos.index.test_indexing import SHORT
from tests.videos.index.test_indexing import ready as ready_video
from videos.index import indexing
from videos.models import PICTURES_VERSION as VIDEO_VERSION
from videos.models import Video
from videos.tasks import index_older

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clips_are_read_once")]

DECOY, BANNED = make.wheel_photo("coffee.png", 256), make.wheel_photo("chelsea.png", 256)


def as_by_older_code(*images: Image) -> None:
    ImageFingerprint.objects.filter(item__in=images).exclude(view="full").delete()
    Image.objects.filter(pk__in=[image.pk for image in images]).update(pictures_version=0)


def version(image: Image) -> int:
    image.refresh_from_db()
    return image.pictures_version


def run(command: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(command, stdout=out, stderr=out, **options)
    return out.getvalue()


def hidden() -> Image:
    return make.add_ready_image(data=make.png(mirage(DECOY, BANNED)))


def test_new_images_and_videos_are_looked_through() -> None:
    assert version(make.add_ready_image()) == PICTURES_VERSION
    assert ready_video(SHORT).pictures_version == VIDEO_VERSION
    assert reprocessing.count_outdated() == (0, 0)


@pytest.mark.parametrize("way", ["command", "task"])
def test_what_older_code_did_not_see_is_found_by_scans_then(way: str) -> None:
    image, plain = hidden(), make.add_ready_image(make.photo(3))
    as_by_older_code(image, plain)
    rows = set(plain.fingerprints.values_list("pk", flat=True))
    on = make_list()
    make_item(on, ("pdq", pdq_of(BANNED), 90))
    scan(on)
    assert status(image) == "ready"
    if way == "command":
        assert "2 images were not read again" in run("describe_missing", dry_run=True)
        assert version(image) == 0
        assert "2 read again" in run("describe_missing")
    else:
        assert look_through() == 2
    assert (version(image), version(plain)) == (PICTURES_VERSION, PICTURES_VERSION)
    assert reprocessing.count_outdated() == (0, 0)
    assert set(image.fingerprints.values_list("view", flat=True)) == {"full", "full b", "full c"}
    assert rows <= set(plain.fingerprints.values_list("pk", flat=True))
    scan(on)
    assert status(image) == "quarantined"


def test_it_is_screened_as_soon_as_it_is_known() -> None:
    image = hidden()
    make_item(make_list(), ("pdq", pdq_of(BANNED), 90))
    as_by_older_code(image)
    look_through()
    queued = [task.task for task in OrmQ.objects.all()]
    assert [one["func"] for one in queued].count("moderation.tasks.screen_waiting") == 1
    assert list(Rescreening.objects.values_list("kind", "item")) == [("image", image.pk)]
    assert screen_waiting() == 1
    assert status(image) == "quarantined"


def seen_over_black() -> Image:
    """What white pages show as the banned picture, stored as black ones show it."""
    image = make.add_ready_image(data=make.png(mirage(BANNED, DECOY)))
    as_by_older_code(image)
    image.fingerprints.all().delete()
    seen = decoding.decode(make.png(DECOY), conf.limits())
    kinds = [descriptors.get(name) for name in descriptors.available_names()]
    (described,) = describe([seen], kinds, 320)
    store_fingerprints(image.pk, described.columns)
    return image


def found_by(picture: Pillow.Image, match_type: str) -> list[int]:
    query = ImageQuery(data=make.png(picture.convert("L").convert("RGB")))
    return [
        match.image.pk for match in search_images(query, match_type=match_type, limit=5).matches
    ]


def test_searches_find_what_white_pages_show_only_after_the_command(
    django_capture_on_commit_callbacks: Any,
) -> None:
    image = seen_over_black()
    before = image.thumbnail.name
    for match_type in ("pdq", "imgsmlr", "copy"):
        assert found_by(DECOY, match_type) == [image.pk]
        assert found_by(BANNED, match_type) == []
    with django_capture_on_commit_callbacks(execute=True):
        out = run("describe_missing")
    assert "1 read again" in out and "copy-1: 1 images lack it" in out
    for match_type in ("pdq", "copy"):
        assert found_by(BANNED, match_type) == [image.pk]
        assert found_by(DECOY, match_type) == []
    image.refresh_from_db()
    assert make.stored_files(settings.MEDIA_ROOT) == make.owned_files(image)
    assert image.thumbnail.name != before
    on = make_list()
    make_item(on, ("pdq", pdq_of(BANNED), 90))
    scan(on)
    assert status(image) == "quarantined"


def test_workers_make_anew_what_models_say_of_another_picture() -> None:
    image = seen_over_black()
    assert look_through() == 1
    assert not image.fingerprints.filter(view="full", version="copy-1").exists()
    assert embed_images([image.pk], "copy") == 1
    assert found_by(BANNED, "copy") == [image.pk]
    queued = [(task.task["func"], task.task["args"]) for task in OrmQ.objects.all()]
    assert ("gallery.tasks.embed_images", ([image.pk], "copy")) in queued


def test_the_command_run_twice_does_nothing_the_second_time() -> None:
    for image in (seen_over_black(), hidden()):
        as_by_older_code(image)
    run("describe_missing")
    rows = list(ImageFingerprint.objects.order_by("pk").values_list("pk", flat=True))
    out = run("describe_missing")
    assert "0 read again" in out and "0 filled" in out
    assert list(ImageFingerprint.objects.order_by("pk").values_list("pk", flat=True)) == rows


def test_what_a_version_between_described_is_older_too(monkeypatch: pytest.MonkeyPatch) -> None:
    image = make.add_ready_image()
    monkeypatch.setattr(Image, "PICTURES_VERSION", PICTURES_VERSION + 1)
    # The index is of the version before: the query finds them without it.
    assert look_through() == 1
    assert version(image) == PICTURES_VERSION + 1


KILLED = """
import sys, time
import django
django.setup()
from django.conf import settings
from django.core.management import call_command
from django.db import connection
connection.settings_dict["NAME"], settings.MEDIA_ROOT = sys.argv[1:]
from gallery.items.signals import pictures_found
seen = []
def wait(ids, **_):
    seen.extend(ids)
    if len(seen) == 2:
        print("in the middle", flush=True)
        time.sleep(60)
pictures_found.connect(wait)
call_command("describe_missing")
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_command_goes_on_where_it_was() -> None:
    images = [
        make.add_ready_image(data=make.png(mirage(make.photo(seed), BANNED))) for seed in range(3)
    ]
    as_by_older_code(*images)
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", KILLED),
            *(str(connection.settings_dict["NAME"]), str(settings.MEDIA_ROOT)),
        ],
        env={
            **os.environ,
            "DATA_DIR": str(DATA_DIR),
            "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings",
            "PYTHONPATH": str(settings.BASE_DIR),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while process.stdout.readline() != "in the middle\n":
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert [version(image) for image in images] == [PICTURES_VERSION, UNREADABLE, 0]
    assert "2 read again for every picture in their files, 0 could" in run("describe_missing")
    for image in images:
        assert version(image) == PICTURES_VERSION
        assert image.fingerprints.filter(view="full b").count() == 1


def test_what_cannot_be_read_is_named_and_keeps_nobody_waiting() -> None:
    gone, cut, whole = (make.add_ready_image(make.photo(seed)) for seed in range(3))
    Path(gone.original.path).unlink()
    Path(cut.original.path).write_bytes(b"\x89PNG\r\n\x1a\n")
    without = make.add_ready_image(make.photo(4))
    Image.objects.filter(pk=without.pk).update(original="")
    as_by_older_code(gone, cut, whole, without)
    assert look_through() == 3
    assert [version(image) for image in (gone, cut, whole)] == [UNREADABLE, UNREADABLE, 1]
    assert version(without) == 0  # its link would have to be fetched: a person's decision
    assert look_through() == 0
    out = run("describe_missing")
    assert "0 read again for every picture in their files, 3 could not be read." in out
    assert f"image {without.pk}: Its original was not kept, and it has no URL." in out


def test_to_find_none_left_costs_no_look_at_the_images() -> None:
    image = make.add_ready_image(make.photo(1))
    Image.objects.bulk_create(
        Image(**{**values, "id": None, "md5": f"{number:032x}", "sha256": f"{number:064x}"})
        for values in Image.objects.filter(pk=image.pk).values()
        for number in range(1000)
    )
    left = Image.objects.outdated_for_workers().order_by("id")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE gallery_image")
    assert "image_not_looked_through" in left.explain()


def test_videos_of_older_code_are_indexed_anew() -> None:
    video = ready_video(SHORT)
    video.screened_hashes.all().delete()
    Video.objects.update(pictures_version=0)
    assert "1 videos were indexed by an older version; 0" in run("index_missing", dry_run=True)
    assert index_older() == 1
    assert index_older() == 0  # one waits
    assert indexing.index_videos([video.pk]) == 1
    video.refresh_from_db()
    assert (video.pictures_version, video.screened_hashes.count()) == (VIDEO_VERSION, 1)
    assert "0 videos wait" in run("index_missing")


def test_what_a_video_shows_for_a_moment_is_screened_when_it_is_indexed_anew() -> None:
    video = ready_video(encode(flashed(0.52, 0.08)))
    video.screened_hashes.all().delete()
    video.frames.filter(t0__lt=700, t1__gt=450).delete()
    Video.objects.update(pictures_version=0)
    on = banned()
    scan(on)
    video.refresh_from_db()
    assert video.status == "ready"
    assert "1 videos wait" in run("index_missing")
    assert "0 videos wait" in run("index_missing")  # they are in the queue already
    assert indexing.index_videos([video.pk]) == 1
    video.refresh_from_db()
    assert (video.status, video.pictures_version) == ("quarantined", VIDEO_VERSION)
    assert "0 videos wait" in run("index_missing")


def test_what_was_quarantined_stays_so() -> None:
    image, video = seen_over_black(), ready_video(SHORT)
    for item in (image, video):
        type(item).objects.filter(pk=item.pk).update(status="quarantined", pictures_version=0)
    run("describe_missing")
    run("index_missing")
    indexing.index_videos([video.pk])
    assert screen_waiting() == 1
    video.refresh_from_db()
    assert (status(image), version(image)) == ("quarantined", PICTURES_VERSION)
    assert (video.status, video.pictures_version) == ("quarantined", VIDEO_VERSION)


def test_a_video_that_cannot_be_indexed_anew_is_not_tried_for_ever() -> None:
    video, lost = ready_video(SHORT), ready_video()
    Path(video.original.path).unlink()
    Video.objects.filter(pk=lost.pk).update(original="")
    Video.objects.update(pictures_version=0)
    assert index_older() == 1
    assert indexing.index_videos([video.pk]) == 0
    video.refresh_from_db()
    assert (video.status, video.pictures_version) == ("ready", UNREADABLE)
    assert index_older() == 0
    assert "1 videos wait to be indexed again; 1 cannot be" in run("index_missing")


def test_colour_alone_of_an_older_picture() -> None:
    image = make.add_ready_image(data=make.png(veiled(BANNED, Pillow.new("RGB", BANNED.size))))
    as_by_older_code(image)
    look_through()
    assert image.fingerprints.filter(version="hashes-1").exists()

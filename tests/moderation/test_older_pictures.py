"""After an upgrade: what images and videos show that older code did not look at."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django_q.models import OrmQ
from PIL import Image as Pillow

from gallery.items import PICTURES_VERSION, UNREADABLE
from gallery.models import Image, ImageFingerprint
from gallery.services import looking_through
from gallery.tasks import look_through
from moderation.tasks import screen_images
from tests import factories as make
from tests.moderation.factories import make_item, make_list
from tests.moderation.test_gate import pdq_of
from tests.moderation.test_retro_scan import scan, status
from tests.shown_files import mirage, veiled
from tests.videos.test_indexing import SHORT
from tests.videos.test_indexing import ready as ready_video
from videos.models import Video
from videos.services import indexing
from videos.tasks import index_older

pytestmark = pytest.mark.django_db

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
    assert ready_video(SHORT).pictures_version == PICTURES_VERSION
    assert looking_through.count_left() == (0, 0)


@pytest.mark.parametrize("way", ["command", "task"])
def test_what_older_code_did_not_see_is_found_by_scans_then(way: str) -> None:
    image, plain = hidden(), make.add_ready_image(make.photo(3))
    as_by_older_code(image, plain)
    on = make_list()
    make_item(on, ("pdq", pdq_of(BANNED), 90))
    scan(on)
    assert status(image) == "ready"
    if way == "command":
        assert "2 images were not looked through" in run("describe_missing", dry_run=True)
        assert version(image) == 0
        assert "2 looked through" in run("describe_missing")
    else:
        assert look_through() == 2
    assert (version(image), version(plain)) == (PICTURES_VERSION, PICTURES_VERSION)
    assert looking_through.count_left() == (0, 0)
    assert set(image.fingerprints.values_list("view", flat=True)) == {"full", "full b", "full c"}
    assert plain.fingerprints.exclude(version="copy-1").count() == 1
    scan(on)
    assert status(image) == "quarantined"


def test_it_is_screened_as_soon_as_it_is_known() -> None:
    image = hidden()
    make_item(make_list(), ("pdq", pdq_of(BANNED), 90))
    as_by_older_code(image)
    look_through()
    queued = [task.task for task in OrmQ.objects.all()]
    (task,) = (one for one in queued if one["func"] == "moderation.tasks.screen_images")
    assert task["args"] == ([image.pk],)
    assert screen_images([image.pk]) == 1
    assert status(image) == "quarantined"


def test_a_first_picture_that_older_code_saw_in_other_colours() -> None:
    image = make.add_ready_image(data=make.png(BANNED))
    ImageFingerprint.objects.filter(item=image).update(pdq="0" * 256)
    as_by_older_code(image)
    look_through()
    row = image.fingerprints.get(version="hashes-1")
    assert row.view == "full"
    on = make_list()
    make_item(on, ("pdq", pdq_of(BANNED), 90))
    scan(on)
    assert status(image) == "quarantined"


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
    assert "0 looked through for every picture in their files, 3 could not be read." in out
    assert f"image {without.pk}: Its original was not kept, and it has no URL." in out


def test_to_find_none_left_costs_no_look_at_the_images() -> None:
    for seed in range(3):
        make.add_ready_image(make.photo(seed))
    left = Image.objects.not_looked_through().filter(pictures_version=0).order_by("id")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "image_not_looked_through" in left.explain()


def test_videos_of_older_code_are_indexed_anew() -> None:
    video = ready_video(SHORT)
    video.screened_hashes.all().delete()
    Video.objects.update(pictures_version=0)
    assert "1 videos were indexed by an older version; of 0" in run("index_missing", dry_run=True)
    assert index_older() == 1
    assert index_older() == 0  # one waits
    assert indexing.index_videos([video.pk]) == 1
    video.refresh_from_db()
    assert (video.pictures_version, video.screened_hashes.count()) == (PICTURES_VERSION, 1)
    assert "0 videos wait" in run("index_missing")


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
    assert "1 videos wait to be indexed anew; 1 cannot be" in run("index_missing")


def test_colour_alone_of_an_older_picture() -> None:
    image = make.add_ready_image(data=make.png(veiled(BANNED, Pillow.new("RGB", BANNED.size))))
    as_by_older_code(image)
    look_through()
    assert image.fingerprints.filter(version="hashes-1").exists()

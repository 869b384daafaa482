"""Describing in the background: batches, leases, and workers that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from gallery import tasks
from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.imaging.descriptors.cnn import Cnn
from gallery.items import changing, describing
from gallery.items.models import Image, ImageDetail, ImageFingerprint
from gallery.shared.errors import StorageAway, Unavailable
from gallery.shared.fork_server import CannotStart
from tests import factories as make
from tests.broken_decoders import broken_decoders

pytestmark = pytest.mark.django_db
VERSIONS = (PIXELS_VERSION, COPY_VERSION)
"""What a worker stores of an image: one fingerprint for each."""
ROOT = Path(__file__).resolve().parents[3]

DYING_WORKER = """
import os, signal, sys
import django
from django.conf import settings
django.setup()
settings.MEDIA_ROOT = sys.argv[1]
from gallery import tasks
from gallery.imaging import decoding
decode = decoding.decode

def decode_or_die(data, limits):
    if data.endswith(b"poison"):
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(data, limits)

decoding.decode = decode_or_die
tasks.describe_images([])
"""


def pending(count: int) -> list[int]:
    """Ids of small pictures that wait for the worker."""
    return [make.add_pending_image(make.photo(seed, (24, 24))).pk for seed in range(count)]


def statuses() -> dict[int, str]:
    return dict(Image.objects.order_by("id").values_list("id", "status"))


def end_leases() -> None:
    Image.objects.filter(claimed_until__isnull=False).update(
        claimed_until=timezone.now() - timedelta(seconds=1)
    )


def test_all_that_waits_is_described_in_batches() -> None:
    images = pending(describing.IMAGES_PER_TASK + 8)
    assert tasks.describe_images(images[:1]) == len(images)
    assert set(statuses().values()) == {"ready"}
    assert ImageFingerprint.objects.count() == len(images) * len(VERSIONS)
    assert ImageDetail.objects.exclude(pattern=None).count() == len(images)
    assert ImageDetail.objects.exclude(local_features=None).count() == len(images)
    assert not Image.objects.exclude(claimed_until=None, attempts=0).exists()


def test_large_images_are_published_before_the_next_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = pending(5)
    one = Image.objects.get(pk=images[0])
    monkeypatch.setattr(describing, "PIXELS_IN_HAND", 2 * one.width * one.height)
    ready: list[int] = []
    describe = describing.describe_file

    def counted(*args: Any, **kwargs: Any) -> Any:
        ready.append(Image.objects.filter(status="ready").count())
        return describe(*args, **kwargs)

    monkeypatch.setattr(describing, "describe_file", counted)
    assert tasks.describe_images(images) == 5
    assert ready == [0, 0, 2, 2, 4]


def test_a_model_that_fails_holds_up_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise Unavailable("The model is damaged.")

    monkeypatch.setattr(Cnn, "embed", fail)
    (image,) = pending(1)
    OrmQ.objects.all().delete()
    assert tasks.describe_images([image]) == 1
    assert set(ImageFingerprint.objects.values_list("version", flat=True)) == {PIXELS_VERSION}
    (waiting,) = OrmQ.objects.all()
    assert waiting.task["args"] == ([image], "copy")


def test_many_ids_become_a_task_for_each_batch() -> None:
    describing.enqueue(list(range(describing.IMAGES_PER_TASK * 2 + 1)))
    sizes = [len(row.task["args"][0]) for row in OrmQ.objects.order_by("id")]
    assert sizes == [describing.IMAGES_PER_TASK, describing.IMAGES_PER_TASK, 1]


def test_a_second_run_changes_nothing() -> None:
    images = pending(3)
    tasks.describe_images(images)
    before = list(ImageFingerprint.objects.order_by("id").values_list("id", "item"))
    assert tasks.describe_images(images) == 0
    assert tasks.sweep() == 0
    assert list(ImageFingerprint.objects.order_by("id").values_list("id", "item")) == before


def test_sweep_takes_what_has_no_task() -> None:
    pending(2)
    OrmQ.objects.all().delete()
    assert tasks.sweep() == 2


def test_a_bad_picture_fails_without_its_neighbours(settings: Any) -> None:
    first, bad, lost, last = pending(4)
    names = dict(Image.objects.values_list("id", "original"))
    (settings.MEDIA_ROOT / names[bad]).write_bytes(b"scrambled")
    (settings.MEDIA_ROOT / names[lost]).unlink()
    assert tasks.describe_images([]) == 2
    assert statuses() == {first: "ready", bad: "failed", lost: "failed", last: "ready"}
    reasons = dict(Image.objects.values_list("id", "failure"))
    assert reasons[bad].startswith("This is text, not a picture")
    assert reasons[lost] == describing.ORIGINAL_LOST
    assert not ImageFingerprint.objects.filter(item__in=[bad, lost]).exists()


def test_describe_again(settings: Any) -> None:
    (image,) = pending(1)
    path = settings.MEDIA_ROOT / Image.objects.get().original.name
    data = path.read_bytes()
    path.write_bytes(b"scrambled")
    tasks.describe_images([])
    path.write_bytes(data)
    OrmQ.objects.all().delete()
    assert describing.describe_again(items=Image.objects.all(), by="tests") == 1
    assert statuses() == {image: "pending"}
    assert OrmQ.objects.count() == 1
    assert tasks.describe_images([image]) == 1
    assert describing.describe_again(items=Image.objects.all(), by="tests") == 0


def test_an_image_deleted_meanwhile(
    monkeypatch: pytest.MonkeyPatch, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    doomed, other = pending(2)
    describe = describing.describe_file

    def describe_slowly(*args: Any, **kwargs: Any) -> Any:
        changing.delete_items(items=Image.objects.filter(pk=doomed), by="tests")
        return describe(*args, **kwargs)

    monkeypatch.setattr(describing, "describe_file", describe_slowly)
    with django_capture_on_commit_callbacks(execute=True):
        assert tasks.describe_images([]) == 1
    assert statuses() == {other: "ready"}
    assert ImageFingerprint.objects.count() == len(VERSIONS)
    assert make.stored_files(settings.MEDIA_ROOT) == make.owned_files(Image.objects.get())


def test_an_image_finished_meanwhile(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    (image,) = pending(1)
    describe = describing.describe_file

    def describe_slowly(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(describing, "describe_file", describe)
        end_leases()
        assert tasks.describe_images([]) == 1  # another worker, after the lease
        return describe(*args, **kwargs)

    monkeypatch.setattr(describing, "describe_file", describe_slowly)
    assert tasks.describe_images([]) == 0
    assert statuses() == {image: "ready"}
    assert ImageFingerprint.objects.count() == len(VERSIONS)
    assert make.stored_files(settings.MEDIA_ROOT) == make.owned_files(Image.objects.get())


def test_workers_side_by_side(transactional_db: None) -> None:
    images = pending(12)

    def work(_: int) -> int:
        try:
            return tasks.describe_images(images)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 12
    assert ImageFingerprint.objects.count() == 12 * len(VERSIONS)


def test_a_storage_that_fails_leaves_no_file_and_the_image_waits(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    first, second = pending(2)
    before = make.stored_files(settings.MEDIA_ROOT)
    save, calls = default_storage.save, []

    def disk_full(name: str, content: Any) -> str:
        calls.append(name)
        if len(calls) % 2 == 0:
            raise OSError(28, "No space left on device")
        return str(save(name, content))

    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "save", disk_full)
        # More often than a picture may end its worker: it is not the picture's fault.
        for _ in range(describing.MAX_ATTEMPTS + 1):
            with pytest.raises(OSError, match="No space"):
                tasks.describe_images([])
    assert statuses() == {first: "pending", second: "pending"}
    assert make.stored_files(settings.MEDIA_ROOT) == before
    assert not ImageFingerprint.objects.exists()
    assert tasks.describe_images([]) == 2


def test_images_wait_while_the_storage_is_not_mounted(settings: Any) -> None:
    image = pending(1)[0]
    aside = settings.MEDIA_ROOT.rename(settings.MEDIA_ROOT.with_name("aside"))
    settings.MEDIA_ROOT.mkdir()  # the empty place of the file system
    for _ in range(describing.MAX_ATTEMPTS + 1):
        with pytest.raises(StorageAway):
            tasks.describe_images([])
    assert Image.objects.values_list("status", "attempts").get() == ("pending", 0)
    settings.MEDIA_ROOT.rmdir()
    aside.rename(settings.MEDIA_ROOT)
    assert tasks.describe_images([]) == 1 and statuses() == {image: "ready"}


def test_images_wait_while_no_decoder_can_start(tmp_path: Path) -> None:
    image = pending(1)[0]
    with broken_decoders(tmp_path):
        for _ in range(describing.MAX_ATTEMPTS + 1):
            with pytest.raises(CannotStart):
                tasks.describe_images([])
    assert Image.objects.values_list("status", "attempts").get() == ("pending", 0)
    assert tasks.describe_images([]) == 1 and statuses() == {image: "ready"}


def run_dying_worker(media_root: Path) -> int:
    """The exit code of a worker process that is killed when it meets the poison."""
    database = connection.settings_dict
    url = "postgresql://{USER}@/{NAME}?host={HOST}&port={PORT}".format(**database)
    done = subprocess.run(
        [sys.executable, "-c", DYING_WORKER, str(media_root)],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings",
        },
        capture_output=True,
        timeout=60,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode


@pytest.mark.slow
def test_a_picture_that_kills_workers_fails_after_three(
    transactional_db: None, settings: Any
) -> None:
    before = pending(2)
    poison = make.add_pending_image(data=make.png(make.photo(50)) + b"poison").pk
    after = make.add_pending_image(make.photo(51)).pk

    # The first death takes the whole batch along; its lease keeps others away from it.
    assert run_dying_worker(settings.MEDIA_ROOT) == -signal.SIGKILL
    assert set(Image.objects.values_list("status", "attempts")) == {("pending", 1)}
    assert tasks.describe_images([]) == 0

    # From now on each goes alone, so that only the culprit goes on dying.
    end_leases()
    assert run_dying_worker(settings.MEDIA_ROOT) == -signal.SIGKILL
    assert statuses() == {
        **dict.fromkeys(before, "ready"),
        poison: "pending",
        after: "pending",
    }
    assert tasks.describe_images([]) == 1
    assert statuses()[after] == "ready"
    assert Image.objects.get(pk=poison).attempts == 2

    end_leases()
    assert run_dying_worker(settings.MEDIA_ROOT) == -signal.SIGKILL
    assert Image.objects.get(pk=poison).attempts == 3

    # This worker would survive it; it is not tried again all the same.
    end_leases()
    assert tasks.describe_images([]) == 0
    row = Image.objects.get(pk=poison)
    assert (row.status, row.failure) == ("failed", describing.KILLS_WORKERS)
    assert tasks.describe_images([]) == 0

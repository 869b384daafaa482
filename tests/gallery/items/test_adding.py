"""Adding: what is stored, what is not when something goes wrong, and who hears of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django_q.models import OrmQ

from gallery.imaging.decoding.limits import NotAnImage, TooLarge
from gallery.imaging.descriptors import PIXELS
from gallery.imaging.descriptors.base import PIXELS_VERSION, FlatPicture
from gallery.items import adding, describing, embedding, signals
from gallery.items.models import Image, ImageDetail, ImageFingerprint
from gallery.net.transport import FetchFailed
from gallery.shared.errors import UserError
from tests import factories as make
from tests.httpserver import HttpServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(open_api: None) -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


def nothing_stored(settings: Any) -> bool:
    rows = (Image, ImageFingerprint, ImageDetail, OrmQ)
    return not any(model.objects.exists() for model in rows) and not make.stored_files(
        settings.MEDIA_ROOT
    )


def test_hashes_are_of_the_bytes_as_they_came() -> None:
    data = make.jpeg(make.photo(1))
    image = make.add_pending_image(data=data)
    assert image.md5 == hashlib.md5(data).hexdigest()
    assert image.sha1 == hashlib.sha1(data).hexdigest()
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    with default_storage.open(image.original.name) as original:
        assert original.read() == data


def test_inline_and_worker_store_the_same() -> None:
    inline = make.add_ready_image(data=make.png(make.photo(1), compress_level=1))
    worker = make.add_pending_image(data=make.png(make.photo(1), compress_level=2))
    describing.describe_images([worker.pk])
    rows = {
        row.item_id: (row.version, row.view, list(row.haar), row.pdq, row.pdq_quality)
        for row in ImageFingerprint.objects.filter(version=PIXELS_VERSION)
    }
    patterns = [list(detail.pattern) for detail in ImageDetail.objects.exclude(pattern=None)]
    assert rows[inline.pk] == rows[worker.pk]
    assert patterns[0] == patterns[1]
    assert set(Image.objects.values_list("status", "attempts")) == {("ready", 0)}


@pytest.mark.parametrize("inline", [PIXELS, ()])
@pytest.mark.parametrize("fetched", [True, False])
@pytest.mark.parametrize("keep", ["all", "uploads", "none"])
def test_which_originals_stay(
    web: HttpServer,
    settings: Any,
    django_capture_on_commit_callbacks: Any,
    keep: str,
    fetched: bool,
    inline: tuple[str, ...],
) -> None:
    settings.KEEP_ORIGINALS = keep
    data = make.png(make.photo(1))
    web.routes["/a"] = data
    source = {"url": web.url + "/a"} if fetched else {"data": data}
    with django_capture_on_commit_callbacks(execute=True):
        image = adding.add_image(**source, by="tests", inline=inline)  # type: ignore[arg-type]
    # Until its model has seen it, the bytes are needed.
    assert image.original.name in make.stored_files(settings.MEDIA_ROOT)
    with django_capture_on_commit_callbacks(execute=True):
        if inline:
            assert embedding.embed_images([image.pk], "copy") == 1
        else:
            assert describing.describe_images([image.pk]) == 1
    image.refresh_from_db()
    stays = keep == "all" or (keep == "uploads" and not fetched)
    files = make.stored_files(settings.MEDIA_ROOT)
    assert files == make.owned_files(image)
    assert [name.partition("/")[0] for name in files] == ["originals"] * stays + ["thumbnails"]


def test_a_flat_picture_is_refused_only_on_demand(settings: Any) -> None:
    flat = make.png(make.flat())
    with pytest.raises(FlatPicture):
        adding.add_image(data=flat, by="tests", inline=PIXELS, refuse_flat=True)
    assert nothing_stored(settings)
    assert make.add_ready_image(data=flat).status == "ready"


@pytest.mark.parametrize("inline", [PIXELS, ()])
def test_bytes_that_are_no_picture_leave_nothing(settings: Any, inline: tuple[str, ...]) -> None:
    for data in (b"", b"hello", make.jpeg(make.photo(1))[:900]):
        with pytest.raises(NotAnImage):
            adding.add_image(data=data, by="tests", inline=inline)
    for data in (make.png_bomb(), make.gif_bomb()):
        with pytest.raises(TooLarge):
            adding.add_image(data=data, by="tests", inline=inline)
    assert nothing_stored(settings)


def test_neither_url_nor_data() -> None:
    with pytest.raises(UserError, match="url or as a file"):
        adding.add_image(by="tests")


@pytest.mark.parametrize("inline", [PIXELS, ()])
def test_a_failure_halfway_leaves_nothing(settings: Any, inline: tuple[str, ...]) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("no")

    signals.changed.connect(fail)
    try:
        with pytest.raises(RuntimeError):
            adding.add_image(data=make.png(make.photo(1)), by="tests", inline=inline)
    finally:
        signals.changed.disconnect(fail)
    assert nothing_stored(settings)


def test_row_and_task_commit_together(settings: Any) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        make.add_pending_image()
        assert OrmQ.objects.count() == 1
        raise RuntimeError
    assert not Image.objects.exists()
    assert not OrmQ.objects.exists()


def test_news() -> None:
    heard: list[Any] = []

    def note(**news: Any) -> None:
        assert connection.in_atomic_block
        heard.append((news["by"], news["verb"], news["before"], news["after"]))

    signals.changed.connect(note)
    try:
        adding.add_image(data=make.png(make.photo(1)), by="key:a")
        adding.add_image(data=make.png(make.photo(2)), by="key:b", inline=PIXELS)
        describing.describe_images([])
    finally:
        signals.changed.disconnect(note)
    assert heard == [
        ("key:a", "added", None, "pending"),
        ("key:b", "added", None, "pending"),
        ("key:b", "published", "pending", "ready"),
        ("worker", "published", "pending", "ready"),
    ]


def test_the_same_bytes_again() -> None:
    image = make.add_ready_image(make.photo(1))
    for status, failure in (("ready", ""), ("pending", ""), ("quarantined", "")):
        Image.objects.update(status=status, failure=failure)
        with pytest.raises(adding.AlreadyStored) as refused:
            adding.add_image(data=make.png(make.photo(1)), by="tests")
        assert refused.value.existing_id == image.pk


@pytest.mark.parametrize("inline", [PIXELS, ()])
def test_a_failed_image_is_taken_over(
    settings: Any, django_capture_on_commit_callbacks: Any, inline: tuple[str, ...]
) -> None:
    data = make.png(make.photo(1))
    image = make.add_pending_image(data=data, data_id="old", remark="old")
    Image.objects.update(status="failed", failure="It died.", attempts=4)
    with django_capture_on_commit_callbacks(execute=True):
        again = adding.add_image(data=data, by="tests", data_id="new", inline=inline)
    assert (again.pk, again.created_at) == (image.pk, image.created_at)
    row = Image.objects.get()
    assert (row.data_id, row.remark, row.failure, row.attempts) == ("new", None, "", 0)
    assert row.status == ("ready" if inline else "pending")
    assert make.stored_files(settings.MEDIA_ROOT) == make.owned_files(row)
    assert describing.describe_images([]) == (0 if inline else 1)


def test_a_failed_image_that_fails_again_keeps_its_file(settings: Any) -> None:
    data = make.png(make.photo(1))
    image = make.add_pending_image(data=data)
    Image.objects.update(status="failed", failure="It died.")

    def fail(**_: Any) -> None:
        raise RuntimeError("no")

    signals.changed.connect(fail)
    try:
        with pytest.raises(RuntimeError):
            adding.add_image(data=data, by="tests")
    finally:
        signals.changed.disconnect(fail)
    assert Image.objects.get().status == "failed"
    assert make.stored_files(settings.MEDIA_ROOT) == [image.original.name]


def test_a_batch_in_order(web: HttpServer) -> None:
    web.routes = {f"/{n}": make.png(make.photo(n, (32, 32))) for n in range(20)}
    items = [{"url": f"{web.url}/{n}", "data_id": str(n)} for n in range(22)]
    outcomes = adding.add_batch(items=items, by="tests")
    added = [outcome for outcome in outcomes if isinstance(outcome, Image)]
    assert [image.data_id for image in added] == [str(n) for n in range(20)]
    assert all(isinstance(outcome, FetchFailed) for outcome in outcomes[20:])


def test_the_same_bytes_at_once(transactional_db: None, settings: Any) -> None:
    data = make.png(make.photo(1))

    def add(_: int) -> Image | UserError:
        try:
            return adding.add_image(data=data, by="tests", inline=PIXELS)
        except UserError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        outcomes = list(pool.map(add, range(10)))
    image = Image.objects.get()
    refused = [outcome for outcome in outcomes if isinstance(outcome, adding.AlreadyStored)]
    assert len(refused) == 9
    assert {error.existing_id for error in refused} == {image.pk}
    assert make.stored_files(settings.MEDIA_ROOT) == make.owned_files(image)

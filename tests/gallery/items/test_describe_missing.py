"""``manage.py describe_missing``: gaps, stale links, and a change of the CLIP model."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from gallery.imaging import descriptors
from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.items import backfill, conf, embedding, versions
from gallery.items.adding import add_image
from gallery.items.models import ClipVersion, Image, ImageFingerprint
from gallery.search.image_search import ImageQuery, search_images
from gallery.shared.errors import Unavailable
from tests import factories as make
from tests import tiny_clip
from tests.environment import DATA_DIR
from tests.httpserver import HttpServer, Reply

pytestmark = pytest.mark.django_db
PIXELS = PIXELS_VERSION
COPY = COPY_VERSION
MODELS = DATA_DIR / "models"


def run(**options: Any) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command("describe_missing", stdout=out, stderr=out, **options)
    return out.getvalue()


def add_complete(*args: Any, **fields: Any) -> Image:
    """A picture described by everything that is available."""
    return make.add_ready_image(*args, inline=descriptors.available_names(), **fields)


def forget(*images: Image) -> None:
    """As if the images had been described before the descriptors were there."""
    ImageFingerprint.objects.filter(item__in=images).delete()


def rows(image: Image) -> list[Any]:
    columns = ("version", "haar", "pdq", "pdq_quality", "detail__pattern")
    return list(image.fingerprints.order_by("version").values_list(*columns))


@pytest.fixture
def linked(open_api: None) -> Iterator[tuple[HttpServer, Image]]:
    """A picture that was added by its link and whose original was not kept."""
    with HttpServer({"/a.jpg": make.jpeg(make.photo(1))}) as server:
        image = add_image(
            url=f"{server.url}/a.jpg", by="tests", inline=descriptors.available_names()
        )
        assert image.original.name == ""
        yield server, image
    conf.fetch_policy.cache_clear()


def test_nothing_is_missing() -> None:
    add_complete()
    assert "pixels-1: 0 images lack it" in run()


def test_from_originals() -> None:
    images = [add_complete(make.photo(seed)) for seed in range(3)]
    before = [rows(image) for image in images]
    forget(*images[:2])
    out = run(dry_run=True)
    assert (
        "pixels-1: 2 images lack it\ncopy-1: 2 images lack it\n0 of 2 would be fetched again."
        in out
    )
    assert rows(images[0]) == []
    assert "2 filled, 0 stale, 0 failed." in run()
    assert [rows(image) for image in images] == before
    assert "0 filled" in run()


def test_a_picture_without_any_descriptor_is_not_missing_for_ever() -> None:
    image = add_complete(make.flat().resize((2, 2)))
    assert [row[1:4] for row in rows(image)] == [(None, None, None)] * 2
    assert "pixels-1: 0 images lack it" in run()


def test_quarantined_images_too_but_no_others() -> None:
    held, failed = add_complete(make.photo(1)), add_complete(make.photo(2))
    Image.objects.filter(pk=held.pk).update(status="quarantined")
    Image.objects.filter(pk=failed.pk).update(status="failed", failure="Broken.")
    make.add_pending_image(make.photo(3))
    forget(held, failed)
    assert "1 filled, 0 stale, 0 failed." in run()
    assert len(rows(held)) == 2


def test_from_links(linked: tuple[HttpServer, Image]) -> None:
    _, image = linked
    before = rows(image)
    forget(image)
    assert "1 of 1 would be fetched again." in run(dry_run=True)
    assert "1 filled" in run()
    assert rows(image) == before
    image.refresh_from_db()
    assert (image.original.name, image.stale_at) == ("", None)


def test_a_link_that_holds_another_picture_is_stale_until_it_is_back(
    linked: tuple[HttpServer, Image],
) -> None:
    server, image = linked
    forget(image)
    original = server.routes["/a.jpg"]
    server.routes["/a.jpg"] = make.jpeg(make.photo(1), quality=70)
    out = run()
    assert "0 filled, 1 stale, 0 failed." in out
    assert "Its URL holds another picture now." in out
    image.refresh_from_db()
    assert image.stale_at is not None
    assert rows(image) == []
    server.routes["/a.jpg"] = original
    assert "1 filled, 0 stale, 0 failed." in run()
    image.refresh_from_db()
    assert image.stale_at is None


@pytest.mark.parametrize(("status", "kind"), [(404, "stale"), (410, "stale"), (503, "failed")])
def test_a_link_that_does_not_answer(
    linked: tuple[HttpServer, Image], status: int, kind: str
) -> None:
    server, image = linked
    forget(image)
    server.routes["/a.jpg"] = Reply(status=status)
    assert f"1 {kind}" in run()
    image.refresh_from_db()
    assert (image.stale_at is not None) == (kind == "stale")


def test_a_lost_original_does_not_stop_the_rest() -> None:
    lost, cut, whole = (add_complete(make.photo(seed)) for seed in range(3))
    forget(lost, cut, whole)
    Path(lost.original.path).unlink()
    Path(cut.original.path).write_bytes(b"\x89PNG\r\n\x1a\n")
    out = run()
    assert "1 filled, 0 stale, 2 failed." in out
    assert f"image {lost.pk}: The original is gone" in out
    assert len(rows(whole)) == 2


def test_batches_and_resuming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "IMAGES_PER_BATCH", 2)
    images = [add_complete(make.photo(seed, (40, 30))) for seed in range(5)]
    forget(*images)
    first = backfill.fill_missing()
    assert [next(first).kind, next(first).kind] == ["filled", "filled"]
    first.close()
    assert backfill.count_missing().images == 3
    assert [outcome.kind for outcome in backfill.fill_missing()] == ["filled"] * 3


def use_clip(settings: Any, directory: Path) -> str:
    """Configure a model as a restart with another CLIP_PRETRAINED does; answers its version."""
    settings.CLIP_PRETRAINED = str(directory)
    descriptors.configure(models=MODELS, clip_pretrained=str(directory))
    assert descriptors.prepare(["clip"]) == {}
    versions._cached = (0.0, None)
    return descriptors.get("clip").version


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models that differ in their weights."""
    root = tmp_path_factory.mktemp("clip")
    return tiny_clip.make(root / "old", seed=1), tiny_clip.make(root / "new", seed=2)


@pytest.fixture
def clip_off(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(versions, "GRACE", 0.0)
    yield
    descriptors.configure(models=MODELS)
    versions._cached = (0.0, None)
    tiny_clip.drop_indexes()


def stored_versions(image: Image) -> set[str]:
    return set(image.fingerprints.values_list("version", flat=True))


@pytest.mark.slow
@pytest.mark.usefixtures("clip_off")
def test_clip_set_up_later(settings: Any, models: tuple[Path, Path]) -> None:
    image = add_complete()
    version = use_clip(settings, models[0])
    out = run()
    assert f"copy-1: 0 images lack it\n{version}: 1 images lack it" in out
    assert "1 filled" in out
    assert versions.active() == version
    (match,) = search_images(ImageQuery(image_id=image.pk), match_type="clip", limit=5).matches
    assert (match.image.pk, match.distance) == (image.pk, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("clip_off")
def test_a_change_of_model(
    settings: Any, models: tuple[Path, Path], linked: tuple[HttpServer, Image]
) -> None:
    server, from_link = linked
    old = use_clip(settings, models[0])
    image = add_complete(make.photo(7))
    run()
    new = use_clip(settings, models[1])
    question = ImageQuery(data=make.png(make.photo(7)))

    # Searches still use the old model; what is added meanwhile is found by both.
    found = search_images(question, match_type="clip", limit=5, threshold=0.5).matches
    assert (found[0].image.pk, found[0].distance) == (image.pk, 0)
    inline = add_complete(make.photo(8))
    queued = add_image(
        data=make.png(make.photo(9)), by="tests", inline=descriptors.available_names()
    )
    ImageFingerprint.objects.filter(item=queued).filter(version__in=[old, new]).delete()
    assert embedding.embed_images([queued.pk, inline.pk], "clip") == 1
    for added in (inline, queued):
        assert stored_versions(added) == {PIXELS, COPY, old, new}
    row = ClipVersion.objects.get(state="active")
    assert (row.version, row.pretrained) == (old, str(models[0]))

    # A link that does not answer today keeps the old model in use.
    picture = server.routes["/a.jpg"]
    server.routes["/a.jpg"] = Reply(status=503)
    with pytest.raises(CommandError, match=r"1 images have no vector of .*--switch-anyway"):
        run()
    assert versions.active() == old
    assert stored_versions(image) == {PIXELS, COPY, old, new}

    server.routes["/a.jpg"] = picture
    assert f"Searches use {new} now." in run()
    versions._cached = (0.0, None)
    assert versions.active() == new
    assert versions.drop_replaced() == 4
    for any_image in (image, from_link, inline, queued):
        assert stored_versions(any_image) == {PIXELS, COPY, new}
    found = search_images(question, match_type="clip", limit=5, threshold=0.5).matches
    assert (found[0].image.pk, found[0].distance) == (image.pk, 0)
    assert "Searches use" not in run()


@pytest.mark.slow
@pytest.mark.usefixtures("clip_off")
def test_switching_although_pictures_are_out_of_reach(
    settings: Any, models: tuple[Path, Path], linked: tuple[HttpServer, Image]
) -> None:
    server, image = linked
    use_clip(settings, models[0])
    add_complete(make.photo(7))
    run()
    new = use_clip(settings, models[1])
    server.routes["/a.jpg"] = Reply(status=503)
    assert f"Searches use {new} now." in run(switch_anyway=True)
    versions.drop_replaced()
    assert stored_versions(image) == {PIXELS, COPY}


@pytest.mark.slow
@pytest.mark.usefixtures("clip_off")
def test_the_old_weights_are_gone(settings: Any, models: tuple[Path, Path], tmp_path: Path) -> None:
    own = tiny_clip.make(tmp_path / "own", seed=3)
    old = use_clip(settings, own)
    add_complete(make.photo(7))
    for file in own.iterdir():
        file.unlink()
    use_clip(settings, models[1])
    with pytest.raises(Unavailable, match=f"{old}, which cannot be computed here"):
        search_images(ImageQuery(text="a cat"), match_type="clip", limit=5)
    assert "Searches use" in run()
    assert search_images(ImageQuery(text="a cat"), match_type="clip", limit=5, threshold=2).matches


@pytest.mark.usefixtures("clip_off")
def test_vectors_that_torch_made_in_bfloat16_are_made_anew(
    settings: Any, models: tuple[Path, Path]
) -> None:
    new = use_clip(settings, models[0])
    image = add_complete(make.photo(7))
    run()
    old = new.replace("/fp32", "/bf16")
    ClipVersion.objects.update(version=old)
    ImageFingerprint.objects.filter(version=new).update(version=old)
    versions._cached = (0.0, None)
    with pytest.raises(Unavailable, match=f"{old}, which cannot be computed here"):
        search_images(ImageQuery(text="a cat"), match_type="clip", limit=5)
    # What is added meanwhile gets the new vectors.
    added = add_complete(make.photo(8))
    assert stored_versions(added) == {PIXELS, COPY, new}
    assert f"Searches use {new} now." in run()
    versions._cached = (0.0, None)
    versions.drop_replaced()
    assert stored_versions(image) == {PIXELS, COPY, new}
    question = ImageQuery(data=make.png(make.photo(7)))
    found = search_images(question, match_type="clip", limit=5, threshold=0.5).matches
    assert (found[0].image.pk, found[0].distance) == (image.pk, 0)


def test_indexes_of_clip_are_the_tests_own() -> None:
    """Each test rolls its partial indexes back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'imagefingerprint_clip%'"
        )
        assert cursor.fetchone() == (0,)

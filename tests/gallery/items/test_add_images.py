"""``manage.py add_images``: real files and links through real processes into PostgreSQL."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django_q.models import OrmQ

from gallery.imaging.descriptors import PIXELS
from gallery.imaging.descriptors.base import COPY_VERSION, PIXELS_VERSION
from gallery.items import conf, embedding, importing
from gallery.items.adding import add_image
from gallery.items.import_sources import Source
from gallery.items.models import Image, ImageDetail, ImageFingerprint
from gallery.search.nearest import nearest_images
from tests import factories as make
from tests.gallery.items import bad_workers
from tests.httpserver import HttpServer, Reply

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.django_db


def run(target: Path, **options: Any) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command("add_images", str(target), stdout=out, stderr=out, workers=1, **options)
    return out.getvalue()


def state() -> list[Any]:
    """All that a second run must leave as it is."""
    return [
        *Image.objects.order_by("id").values(),
        *ImageFingerprint.objects.order_by("id").values("id", "item_id", "version"),
        *ImageDetail.objects.order_by("pk").values_list("pk"),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every kind of file that lies about in a folder of pictures."""
    root = tmp_path / "pictures"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "a.jpg").write_bytes(make.jpeg(make.photo(1)))
    (root / "b.PNG").write_bytes(make.png(make.photo(2)))
    (root / "deep" / "no extension").write_bytes(make.encoded(make.photo(3), "GIF"))
    (root / "deep" / "er" / "copy of a.jpg").write_bytes((root / "a.jpg").read_bytes())
    (root / "flat.png").write_bytes(make.png(make.flat()))
    (root / "notes.txt").write_text("not a picture")
    (root / "empty.jpg").write_bytes(b"")
    (root / "cut.jpg").write_bytes((root / "a.jpg").read_bytes()[:800])
    os.mkfifo(root / "pipe.jpg")
    return root


@pytest.mark.slow
def test_a_directory(folder: Path) -> None:
    out = run(folder, data_id_prefix="album/", remark="from a disk")
    assert "4 added, 1 already there, 3 no pictures, 1 failed." in out
    assert "cut.jpg: The file is a JPEG that ends early" in out
    images = {image.data_id: image for image in Image.objects.all()}
    names = ("a.jpg", "b.PNG", "deep/no extension", "flat.png")
    assert sorted(images) == sorted(f"album/{name}" for name in names)
    for name in names:
        image = images[f"album/{name}"]
        data = (folder / name).read_bytes()
        assert (image.status, image.remark, image.url) == ("ready", "from a disk", None)
        assert (image.bytes, image.added_by) == (len(data), "command:add_images")
        with image.original.open() as stream:
            assert stream.read() == data
        with image.thumbnail.open() as stream:
            assert stream.read(2) == b"\xff\xd8"


def test_the_same_as_adding_one_by_one(folder: Path) -> None:
    run(folder)
    columns = ("haar", "pdq", "pdq_quality", "version", "view", "detail__pattern")
    for name in ("a.jpg", "b.PNG", "flat.png"):
        image = Image.objects.get(data_id=name)
        rows = list(image.fingerprints.values_list(*columns))
        facts = (image.sha1, image.sha256, image.format, image.width, image.height, image.bytes)
        image.delete()
        again = add_image(data=(folder / name).read_bytes(), by="tests", inline=PIXELS)
        assert list(again.fingerprints.values_list(*columns)) == rows
        size = (again.width, again.height, again.bytes)
        assert facts == (again.sha1, again.sha256, again.format, *size)


def test_a_second_run_changes_nothing_and_starts_no_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(folder)
    (folder / "cut.jpg").unlink()
    before = state()

    def refuse(*_: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(importing, "ProcessPoolExecutor", refuse)
    assert "5 already there, 3 no pictures." in run(folder)
    assert state() == before


def test_what_was_added_is_found(folder: Path) -> None:
    run(folder)
    wanted = Image.objects.get(data_id="a.jpg")
    haar, pattern = wanted.fingerprints.values_list("haar", "detail__pattern").get()
    columns = {"haar": str(haar), "pattern": bytes(pattern)}
    (match,) = nearest_images("imgsmlr", "pixels-1", columns, threshold=0.01, limit=5)
    assert (match.image.pk, match.distance) == (wanted.pk, 0)


def test_a_csv(folder: Path, open_api: None) -> None:
    with HttpServer({"/c.png": make.png(make.photo(5))}) as server:
        rows = [
            ["file", "url", "data_id", "remark", "meta"],
            ["a.jpg", "", "one", "first", '{"album": 7}'],
            ["", server.url + "/c.png", "two", "", ""],
            ["missing.jpg", "", "", "", ""],
            ["b.PNG", server.url + "/c.png", "", "", ""],
            ["b.PNG", "", "x" * 256, "", ""],
            ["b.PNG", "", "", "", "[1]"],
            ["b.PNG", "", "", "", "{"],
            ["b.PNG", "", "nul\0", "", ""],
            ["b.PNG", "", "", "", '{"a": "\\u0000"}'],
            ["", server.url + "/gone.png", "", "", ""],
            ["notes.txt"],
        ]
        file, report = folder / "list.csv", folder / "report.csv"
        with file.open("w", newline="", encoding="utf-8-sig") as stream:
            csv.writer(stream).writerows(rows)
        assert "2 added, 9 failed." in run(file, report=report, remark="else")
        one, two = Image.objects.order_by("data_id")
        assert (one.data_id, one.remark, one.meta, one.url) == ("one", "first", {"album": 7}, None)
        assert (two.data_id, two.remark, two.meta) == ("two", "else", None)
        assert two.url == server.url + "/c.png"
        with report.open(newline="") as stream:
            reasons = [row["reason"] for row in csv.DictReader(stream)]
        for reason in (
            "The file cannot be read: No such file or directory.",
            "Give either a file or a url.",
            "data_id has 256 characters; at most 255 are stored.",
            "meta must be a JSON object.",
            "data_id holds a NUL character: remove it.",
            "meta holds a NUL character: remove it.",
            "127.0.0.1 answered 404 for this address; check that the file is there and public.",
            "The row has not as many fields as the header.",
        ):
            assert reason in reasons
        assert any(reason.startswith("meta is not JSON") for reason in reasons)
        assert len(reasons) == 9


@pytest.mark.parametrize("text", ["", "path,data_id\na,b\n", "file,colour\na.jpg,red\n"])
def test_a_csv_without_the_right_header(tmp_path: Path, text: str) -> None:
    file = tmp_path / "list.csv"
    file.write_text(text)
    with pytest.raises(CommandError, match="needs a header with the column file or url"):
        run(file)


@pytest.mark.slow
def test_a_list_of_links(tmp_path: Path, open_api: None) -> None:
    pictures = {f"/{n}.jpg": make.jpeg(make.photo(n)) for n in range(5)}
    pictures["/twin.jpg"] = pictures["/0.jpg"]
    file = tmp_path / "urls.txt"
    with HttpServer({**pictures, "/broken": Reply(status=500)}) as server:
        paths = [*pictures, "/broken"]
        file.write_text("# links\n\n" + "".join(f"  {server.url}{path}\n" for path in paths))
        assert "5 added, 1 already there, 1 failed." in run(file, data_id_prefix="feed")
        before, asked = state(), len(server.requests)
        assert "6 already there, 1 failed." in run(file, data_id_prefix="feed")
        assert state() == before
        fetched = [request.path for request in server.requests[asked:]]
        assert sorted(fetched) == ["/broken", "/twin.jpg"]
    # Files of links stay until the model has seen them.
    assert all(image.original.name for image in Image.objects.all())
    assert embedding.embed_images([image.pk for image in Image.objects.all()], "copy") == 5
    for image in Image.objects.all():
        assert (image.data_id, image.original.name, image.status) == ("feed", "", "ready")


@pytest.mark.slow
def test_models_at_once(tmp_path: Path) -> None:
    for seed in range(3):
        (tmp_path / f"{seed}.png").write_bytes(make.png(make.photo(seed)))
    assert "3 added." in run(tmp_path, embed=True)
    for image in Image.objects.all():
        versions = sorted(image.fingerprints.values_list("version", flat=True))
        assert versions == [COPY_VERSION, PIXELS_VERSION]
    assert ImageDetail.objects.exclude(local_features=None).count() == 3
    assert not OrmQ.objects.exists()


def test_private_addresses_are_refused(tmp_path: Path) -> None:
    conf.fetch_policy.cache_clear()
    file = tmp_path / "urls.txt"
    with HttpServer({"/a.jpg": make.jpeg(make.photo(1))}) as server:
        file.write_text(f"{server.url}/a.jpg\nfile:///etc/passwd\n")
        assert "2 failed." in run(file)
        assert server.requests == []
    assert not Image.objects.exists()


@pytest.mark.parametrize(
    ("name", "content"), [("list.csv", b"file\n\xff.jpg\n"), ("urls.txt", b"http://a/\xff\n")]
)
def test_lists_that_are_not_utf_8(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandError, match="cannot be read as UTF-8"):
        run(tmp_path / name)


def test_no_target_and_no_workers(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no"):
        run(tmp_path / "nowhere")
    with pytest.raises(CommandError, match="--workers"):
        call_command("add_images", str(tmp_path), workers=0)


def test_a_failed_image_is_taken_over(folder: Path) -> None:
    image = add_image(data=(folder / "a.jpg").read_bytes(), by="tests")
    Image.objects.filter(pk=image.pk).update(status="failed", failure="Deadly.")
    run(folder)
    image.refresh_from_db()
    assert (image.status, image.failure, image.data_id) == ("ready", "", "a.jpg")


def hold(image: Image) -> bool:
    """A gate: it sees described images, and holds one of them."""
    assert image.fingerprints.exists()
    return image.data_id != "b.PNG"


def test_every_image_goes_through_the_gates(folder: Path, settings: Any) -> None:
    settings.PUBLISHING_GATES = [f"{__name__}.hold"]
    assert "3 added, 1 added but held back" in run(folder)
    held = Image.objects.get(status="quarantined")
    assert held.data_id == "b.PNG"
    assert Image.objects.ready().count() == 3


@pytest.mark.slow
def test_nothing_half_made_when_a_batch_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(importing, "publish", fail)
    with pytest.raises(RuntimeError):
        run(folder)
    assert not Image.objects.exists()
    assert make.stored_files(settings.MEDIA_ROOT) == []


@pytest.mark.slow
def test_a_picture_that_kills_its_process_fails_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bomb.jpg").write_bytes(make.jpeg(make.photo(9)) + bad_workers.DEADLY)
    monkeypatch.setattr(importing, "prepare", bad_workers.die)
    out = run(folder)
    assert "4 added, 1 already there, 3 no pictures, 2 failed." in out
    assert f"bomb.jpg: {importing.KILLED_PROCESS}" in out


@pytest.mark.slow
def test_a_picture_that_takes_for_ever_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.TASK_TIMEOUT = 1
    monkeypatch.setattr(importing, "prepare", bad_workers.linger)
    source = Source("a", folder / "a.jpg")
    (outcome,) = importing.import_images(sources=[source], by="tests", workers=1)
    assert (outcome.kind, outcome.reason) == ("failed", importing.KILLED_PROCESS)


@pytest.fixture
def command(tmp_path: Path, settings: Any) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, adding the 150 pictures of ``many``; some are added."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(150):
        (folder / f"{number:03}.jpg").write_bytes(make.jpeg(make.photo(number, (40, 30))))
    code = (
        "import sys, django; from django.conf import settings; django.setup();"
        "settings.MEDIA_ROOT = sys.argv[1];"
        "settings.DATABASES['default']['NAME'] = sys.argv[2];"
        "from django.core.management import call_command;"
        "call_command('add_images', sys.argv[3], workers=1)"
    )
    arguments = [str(settings.MEDIA_ROOT), str(connection.settings_dict["NAME"]), str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "imgsmlr_site.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while Image.objects.count() == 0 and process.poll() is None:
        time.sleep(0.01)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_interrupted_and_resumed(command: subprocess.Popen[str], tmp_path: Path) -> None:
    """Ctrl-C in a real process: what was committed stays, the rest follows at the next run."""
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=20)
    assert command.returncode == 130, err
    assert "Run the same command again" in err
    assert "Traceback" not in err
    done = Image.objects.count()
    assert 0 < done < 150
    assert f"{done} added" in out
    assert Image.objects.ready().count() == done
    assert f"{150 - done} added, {done} already there." in run(tmp_path / "many")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_killed_it_leaves_no_process(command: subprocess.Popen[str]) -> None:
    listed = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    assert listed
    command.kill()
    command.wait()
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in listed):
        assert time.monotonic() < until
        time.sleep(0.02)

"""The CLIP model changes under searches of two hosts, one with the old settings and one with the
new ones. Each answer is whole and of one model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from gallery.imaging import descriptors
from gallery.items import versions
from gallery.items.models import ClipVersion, ImageFingerprint
from gallery.search.image_search import ImageQuery, search_images
from tests import factories as make
from tests import tiny_clip
from tests.environment import DATA_DIR
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
MODELS = DATA_DIR / "models"
IMAGES = 70
"""More than two batches."""

Answer = list[list[float]]


@pytest.fixture
def models(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    yield tiny_clip.make(tmp_path / "old", seed=1), tiny_clip.make(tmp_path / "new", seed=2)
    descriptors.configure(models=MODELS)
    versions._cached = (0.0, None)
    tiny_clip.drop_indexes()


def use(model: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(settings, "CLIP_PRETRAINED", str(model))
    descriptors.configure(models=MODELS, clip_pretrained=str(model))
    assert descriptors.prepare(["clip"]) == {}
    versions._cached = (0.0, None)
    return descriptors.get("clip").version


def python(model: Path, *words: str) -> subprocess.Popen[str]:
    """A process of a host whose settings name this model."""
    env = {
        **os.environ,
        "DATA_DIR": str(DATA_DIR),
        "CLIP_PRETRAINED": str(model),
        "PYTHONPATH": str(settings.BASE_DIR),
    }
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *words], env=env, cwd=settings.BASE_DIR, stdin=pipe, stdout=pipe, text=True
    )


SCRIPT = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "imgsmlr_site.settings"
import django
django.setup()
from django.core.management import call_command
from django.db import connection
from django.conf import settings
connection.settings_dict["NAME"], settings.MEDIA_ROOT = sys.argv[1:]
from gallery.items import backfill, versions
"""


def script(model: Path, body: str) -> subprocess.Popen[str]:
    name = str(connection.settings_dict["NAME"])
    return python(model, "-c", SCRIPT + body, name, str(settings.MEDIA_ROOT))


class Searcher:
    """A process that searches without pause. ``answers``: all so far, in their order."""

    def __init__(self, model: Path, picture: Path) -> None:
        name = str(connection.settings_dict["NAME"])
        path = str(Path(__file__).with_name("searching_process.py"))
        self.process = python(model, path, name, str(picture))
        self.answers: list[Answer] = []
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.append(json.loads(line))

    def wait_for_more(self, count: int) -> None:
        wanted = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= wanted or self.process.poll() is not None)

    def end(self) -> None:
        self.process.kill()
        self._reading.join()
        self.process.communicate()


@contextmanager
def searching(model: Path, picture: Path) -> Iterator[Searcher]:
    searcher = Searcher(model, picture)
    try:
        yield searcher
    finally:
        searcher.end()


def expected(data: bytes) -> Answer:
    found = search_images(ImageQuery(data=data), match_type="clip", limit=500, threshold=2).matches
    return [[match.image.pk, match.distance] for match in found]


def which(answer: Answer, wanted: Sequence[Answer]) -> int:
    """The number of the model whose answer this is, to the last picture."""
    assert isinstance(answer, list), answer
    distances = [dict(map(tuple, one)) for one in (answer, *wanted)]  # type: ignore[arg-type]
    for number, one in enumerate(distances[1:]):
        if one.keys() == distances[0].keys() and all(
            abs(one[pk] - distances[0][pk]) < 1e-4 for pk in one
        ):
            return number
    raise AssertionError(f"An answer is of no model, or not whole: {answer}")


def killed_once(process: subprocess.Popen[str], rows: str, fewer_than: int, more_than: int) -> None:
    """Kill the process with SIGKILL when the number of rows of this version is between."""

    def is_there() -> bool:
        count = ImageFingerprint.objects.filter(version=rows).count()
        return more_than < count < fewer_than or process.poll() is not None

    wait_until(is_there, 120)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_searches_go_on_while_the_model_changes(
    models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_model, new_model = models
    old = use(old_model, monkeypatch)
    for seed in range(IMAGES):
        make.add_ready_image(make.photo(seed, (40, 30)), inline=["imgsmlr", "pdq", "clip"])
    data = make.png(make.photo(3, (40, 30)))
    picture = tmp_path / "question.png"
    picture.write_bytes(data)
    wanted = [expected(data)]
    new = use(new_model, monkeypatch)
    assert ClipVersion.objects.get().version == old
    with ExitStack() as stack:
        hosts = [stack.enter_context(searching(model, picture)) for model in models]
        for host in hosts:
            host.wait_for_more(10)

        # Killed while it fills, it goes on where it was.
        filling = "call_command('describe_missing')"
        killed_once(script(new_model, filling), new, IMAGES, 0)
        for host in hosts:
            host.wait_for_more(10)
        done = script(new_model, filling)
        done.communicate()
        assert done.returncode == 0
        assert ImageFingerprint.objects.filter(version=new).count() == IMAGES
        assert ClipVersion.objects.get(state="active").version == new

        # Killed while it deletes, too.
        body = (
            "versions.GRACE, versions.ROWS_PER_BATCH = 4.0, 1\nwhile True: versions.drop_replaced()"
        )
        killed_once(script(new_model, body), old, IMAGES, 0)
        for host in hosts:
            host.wait_for_more(10)
        body = "versions.GRACE = 0.0\nversions.drop_replaced()"
        assert script(new_model, body).wait(60) == 0
        assert list(ClipVersion.objects.values_list("version", "state")) == [(new, "active")]
        assert not ImageFingerprint.objects.filter(version=old).exists()
        for host in hosts:
            host.wait_for_more(10)
    wanted.append(expected(data))
    for host in hosts:
        seen = [which(answer, wanted) for answer in host.answers]
        assert (seen[0], seen[-1]) == (0, 1) and seen == sorted(seen)

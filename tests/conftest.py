"""The real server under the tests, and what most of them start from."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import cv2
import onnxruntime
import pytest
from django.db import connection
from xdist.scheduler import LoadFileScheduling

from gallery.imaging import local_features
from gallery.imaging.descriptors import cnn, cnn_model
from imgsmlr_site.env import LOOPBACK
from imgsmlr_site.postgres.server import EmbeddedPostgres
from tests import emptying, migrated
from tests.environment import DATA_DIR
from tests.kept_results import kept
from tests.storage import Storage, running

TESTS = Path(__file__).parent

_server = EmbeddedPostgres(
    DATA_DIR,
    options={
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "log_min_messages": "fatal",
        # Emptying a table looks through all buffers.
        "shared_buffers": "256MB",
        # What was counted while a table was empty between two tests would be believed in the next.
        "autovacuum_analyze_threshold": "1000000000",
    },
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--milvus", action="store_true", help="run all tests of searches on Milvus too"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Before Django is set up.

    Models, encoded clips, descriptions of pictures and the migrated database stay in pytest's
    cache. With ``-n`` this runs in each worker, and before them in the process that hands out the
    tests, which needs no database.
    """
    # Nothing that is loaded and collected becomes garbage: see below.
    gc.disable()
    for name in ("models", "clips", "results", "database"):
        (DATA_DIR / name).symlink_to(config.cache.mkdir(name))  # type: ignore[union-attr]
    cnn_model.prepare(DATA_DIR / "models")
    if hasattr(config, "workerinput") or not config.option.numprocesses:
        _server.start()


def pytest_collection_finish() -> None:
    """A search for garbage would walk through all modules and tests again each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


ORDER = ("journeys", "videos", "browser", "benchmarks", "moderation", "site", "gallery")
"""Long tests first, so that no worker is left alone with them at the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After pytest-django, which puts all tests that need no database at the end."""

    @cache
    def place(path: Path) -> int:
        folder = path.relative_to(TESTS).parts[0]
        return (*ORDER, folder).index(folder)

    items.sort(key=lambda item: place(item.path))


TOGETHER = (
    ("tests/journeys/",),  # a started service
    ("tests/videos/",),  # a few indexed videos
    (
        "tests/gallery/imaging/descriptors/test_clip_input.py",
        "tests/gallery/imaging/descriptors/test_clip.py",
        "tests/gallery/imaging/descriptors/test_cnn_model.py",
    ),  # torch, which takes seconds to load
)
"""How tests begin that share what takes long to make."""


class Scheduling(LoadFileScheduling):
    """A worker takes a whole file, or all that are together."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((group[0] for group in TOGETHER if file.startswith(group)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return Scheduling(config, log) if config.option.dist == "loadfile" else None


MADE_UP = {"from.the.future"}
"""Actions that tests of the audit make up."""


def pytest_sessionstart() -> None:
    """Django's test client calls this machine so."""
    from imgsmlr_site import access

    access.LOOPBACK_NAMES.add("testserver")
    _check_wordings()


def _check_wordings() -> None:
    """Each event that any test makes the code write has words (``moderation.audit.wordings``)."""
    from django.db.models.signals import post_save

    from moderation.audit.models import AuditEvent
    from moderation.audit.wordings import WORDINGS

    def check(instance: AuditEvent, **_: object) -> None:
        if instance.verb not in WORDINGS and instance.verb not in MADE_UP:
            raise AssertionError(f"{instance.verb} has no wording")

    post_save.connect(check, sender=AuditEvent, weak=False)


def pytest_unconfigure() -> None:
    """After the last test; harmless where no server was started."""
    _server.stop()


@pytest.fixture(scope="session")
def django_db_setup(
    request: pytest.FixtureRequest, django_test_environment: None, django_db_blocker: Any
) -> Iterator[None]:
    """In place of pytest-django's. The database goes with its server."""
    with django_db_blocker.unblock():
        migrated.create(DATA_DIR / "database")
        emptying.install()
    yield
    with django_db_blocker.unblock():
        connection.close()
        if left := migrated.open_connections():
            request.node.warn(pytest.PytestWarning(f"A test left connections open: {left}"))


_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _own_media(settings: Any) -> None:
    settings.MEDIA_ROOT = DATA_DIR / "media-of-tests" / str(next(_numbers))


@pytest.fixture(autouse=True)
def _cheap_passwords(settings: Any) -> None:
    """A slow hash protects stolen passwords; here it would cost a second for each that logs in."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session", autouse=True)
def _equal_pixels_are_described_once() -> Iterator[None]:
    """The service remembers the last few pictures; here all, as many tests use the same."""
    results = DATA_DIR / "results"
    embed = kept(
        cnn._Loaded._embed,
        results,
        f"{cnn_model.NAME} {onnxruntime.__version__}",
        Path(cnn.__file__),
        cnn.WHITENING,
    )
    found = kept(
        local_features._found.__wrapped__,
        results,
        cv2.__version__,
        Path(local_features.__file__),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cnn, "REMEMBERED", None)
        patch.setattr(cnn._Loaded, "_embed", embed)
        patch.setattr(local_features, "_found", lru_cache(maxsize=None)(found))
        yield


@pytest.fixture
def clips_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same clip is decoded and described by the first test alone."""
    from tests.videos import read_once

    read_once.install(monkeypatch)


@pytest.fixture
def plain_static_files(settings: Any) -> None:
    """Nothing collects them for the tests, so there is no manifest of hashed names."""
    plain = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": plain}}


@pytest.fixture(scope="session")
def storage(request: pytest.FixtureRequest) -> Iterator[Storage]:
    """Object storage with an empty bucket, ``uploads``."""
    with running(request.config) as found:
        yield found


@pytest.fixture
def open_api(settings: object) -> Iterator[None]:
    """What `make run` sets: no key needed from this machine, and it may be fetched from."""
    from gallery.items import conf
    from videos import conf as video_conf

    settings.OPEN_API = settings.FETCH_ALLOW_PRIVATE = LOOPBACK  # type: ignore[attr-defined]
    conf.fetch_policy.cache_clear()
    video_conf.forget()
    yield
    conf.fetch_policy.cache_clear()
    video_conf.forget()

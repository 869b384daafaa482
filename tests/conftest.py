"""The real server under the tests, and what most of them start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from gallery.imaging.descriptors import cnn_model
from imgsmlr_site.env import LOOPBACK
from imgsmlr_site.postgres.server import EmbeddedPostgres
from tests.environment import DATA_DIR

# The same examples each time: what fails once fails for everybody.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("suite")

_server = EmbeddedPostgres(
    DATA_DIR,
    options={
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "log_min_messages": "fatal",
    },
)


def pytest_configure(config: pytest.Config) -> None:
    """Before pytest-django creates the test database.

    The model stays in pytest's cache: making it takes ten seconds. With ``-n`` this runs in each
    worker, and before them in the process that hands out the tests, which needs no database.
    """
    models = config.cache.mkdir("models")  # type: ignore[union-attr]
    cnn_model.prepare(models)
    (DATA_DIR / "models").symlink_to(models)
    if hasattr(config, "workerinput") or not config.option.numprocesses:
        _server.start()


def pytest_unconfigure() -> None:
    """After the last test; harmless where no server was started."""
    _server.stop()


@pytest.fixture(autouse=True)
def _own_media(settings: object, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"  # type: ignore[attr-defined]


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

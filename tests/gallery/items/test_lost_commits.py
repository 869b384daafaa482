"""A commit whose answer never arrives: the row may be there, so its files must be, too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import OperationalError, connection

from gallery.items import adding
from gallery.items.models import Image
from tests import factories as make

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def losing_an_answer() -> Iterator[None]:
    """Between this process and PostgreSQL the answer to the first COMMIT is lost."""
    direct = dict(connection.settings_dict)
    name = f".s.PGSQL.{direct['PORT'] or 5432}"
    options = {key: value for key, value in direct["OPTIONS"].items() if key != "requirepeer"}
    connection.close()
    with TemporaryDirectory() as inside:
        places = str(Path(inside, name)), str(Path(direct["HOST"], name))
        command = [sys.executable, "-m", "tests.commit_relay", *places]
        relay = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert relay.stdout is not None
        relay.stdout.readline()  # it listens
        try:
            connection.settings_dict.update(HOST=inside, OPTIONS=options)
            yield
        finally:
            connection.close()
            connection.settings_dict.update(direct)
            relay.kill()
            relay.communicate()


def test_the_files_of_a_row_that_was_committed_stay(settings: Any) -> None:
    settings.KEEP_ORIGINALS = "all"
    with losing_an_answer(), pytest.raises(OperationalError):
        adding.add_image(by="test", data=make.jpeg(make.photo(1)), inline=["imgsmlr"])
    stored = Image.objects.get()
    assert stored.status == "ready"
    assert default_storage.exists(stored.thumbnail.name)
    assert default_storage.exists(stored.original.name)

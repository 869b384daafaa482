"""Searches ask a real streaming standby of the tests' PostgreSQL; nothing else does."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from gallery.duplicates import scan
from gallery.imaging.descriptors import PIXELS
from gallery.items.item import Status
from gallery.items.models import Image
from gallery.search import replica
from gallery.search.image_search import ImageQuery, search_images
from gallery.search.nearest import Filters
from imgsmlr_site.postgres.cluster import forget_cluster
from imgsmlr_site.postgres.programs import as_account, binaries_for, server_account
from imgsmlr_site.postgres.server import EmbeddedPostgres
from moderation.lists import item_adding
from moderation.reports import copies
from tests.environment import DATA_DIR
from tests.factories import add_ready_image, jpeg, photo, png
from tests.moderation.factories import ADMIN, make_list
from tests.processes import wait_until
from tests.videos.clips import moving
from tests.videos.index.test_indexing import SHORT
from tests.videos.index.test_indexing import ready as ready_video
from tests.videos.library import file_of
from videos.match.video_search import search_videos

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", replica.ALIAS]),
    pytest.mark.usefixtures("open_api", "clips_are_read_once"),
]


EVERY_TYPE = (*PIXELS, "copy")


class Standby(EmbeddedPostgres):
    """It has the database of its primary."""

    def _create_database(self) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def standby(django_db_setup: None) -> Iterator[Standby]:
    directory = Path(tempfile.mkdtemp(prefix="imgsmlr-standby-", dir="/tmp"))
    directory.chmod(0o755)
    account = server_account(DATA_DIR)
    primary = connection.settings_dict
    (directory / "pg").mkdir(mode=0o700)
    shutil.chown(directory / "pg", account.pw_name)
    subprocess.run(
        [
            binaries_for(account, print) / "pg_basebackup",
            *("--host", primary["HOST"], "--port", primary["PORT"], "--username", primary["USER"]),
            *("--pgdata", directory / "pg", "--write-recovery-conf", "--checkpoint=fast"),
            "--no-sync",
        ],
        **as_account(account),
        cwd="/",
        check=True,
    )
    with Standby(directory, {"log_min_messages": "fatal", "fsync": "off"}) as server:
        connections.databases[replica.ALIAS] = _settings(server)
        yield server
        del connections[replica.ALIAS], connections.databases[replica.ALIAS]
    forget_cluster(directory)
    shutil.rmtree(directory)


def _settings(server: Standby) -> dict[str, Any]:
    here = connections.databases["default"]
    # Nothing empties it but its primary.
    return {**here, "HOST": str(server.sockets), "TEST": {**here["TEST"], "MIRROR": "default"}}


class Replica:
    def sql(self, statement: str) -> Any:
        with connections[replica.ALIAS].cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]

    def catch_up(self) -> None:
        """Wait for all that was committed; the tests' server writes it a moment later."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_wal_insert_lsn()")
            (place,) = cursor.fetchone()
        wait_until(lambda: self.sql(f"SELECT pg_last_wal_replay_lsn() >= '{place}'"), 30)

    def pause(self) -> None:
        self.catch_up()
        self.sql("SELECT pg_wal_replay_pause()::text")
        wait_until(lambda: self.sql("SELECT pg_get_wal_replay_pause_state()") == "paused", 30)

    def resume(self) -> None:
        self.sql("SELECT pg_wal_replay_resume()::text")

    def queries(self, act: Callable[[], object]) -> int:
        """How many it is asked meanwhile, besides how far it is."""
        with CaptureQueriesContext(connections[replica.ALIAS]) as captured:
            act()
        return sum("pg_last_wal_replay_lsn" not in one["sql"] for one in captured)


@pytest.fixture
def there(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replica]:
    monkeypatch.setattr(replica, "_watch", replica._Watch())
    monkeypatch.setattr(replica, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(replica, "AWAY_FOR", 0.0)
    settings.DATABASE_REPLICA_LAG = 600
    found = Replica()
    yield found
    if found.sql("SELECT pg_is_in_recovery() AND pg_is_wal_replay_paused()"):
        found.resume()
    connections[replica.ALIAS].close()


def found(seed: int, match_type: str = "imgsmlr", **options: Any) -> list[int]:
    query = ImageQuery(data=jpeg(photo(seed), 80))
    result = search_images(query, match_type=match_type, limit=5, **options)
    return [match.image.pk for match in result.matches]


@pytest.mark.slow
def test_searches_ask_it_and_nothing_else_does(there: Replica, client: Client) -> None:
    image, video = add_ready_image(photo(1), inline=EVERY_TYPE), ready_video(SHORT)
    there.catch_up()
    for match_type in ("imgsmlr", "pdq", "copy", "auto"):
        assert there.queries(lambda kind=match_type: found(1, kind)) > 0
        assert found(1, match_type) == [image.pk]
    still = file_of(next(iter(moving("chelsea", 1.5))))
    assert there.queries(lambda: search_videos(data=still, may_lag=True)) > 0
    assert [one.video for one in search_videos(data=still, may_lag=True).results] == [video]

    def decide() -> None:
        on = make_list()
        item_adding.add_file(by=ADMIN, list_id=on.pk, file=ContentFile(png(photo(2)), "a.png"))
        sent = {"file": ContentFile(jpeg(photo(2), 80), "a.jpg")}
        verdict = client.post("/api/v1/moderation/check/", sent).json()["verdict"]
        assert verdict == "block"
        assert add_ready_image(photo(2)).status == Status.QUARANTINED
        assert client.get(f"/media/images/{image.pk}/original").status_code == 200
        scan.look_up([image.pk], 0.5)
        assert set(copies.of_picture(still, copies.decode(still), "")) == {video}

    assert there.queries(decide) == 0


def test_what_was_hidden_a_moment_ago_is_not_shown(there: Replica) -> None:
    shown, hidden, changed, deleted = (
        add_ready_image(data=jpeg(photo(1), quality), inline=EVERY_TYPE)
        for quality in (90, 80, 70, 60)
    )
    there.pause()
    Image.objects.filter(pk=hidden.pk).update(status=Status.QUARANTINED)
    Image.objects.filter(pk=changed.pk).update(remark="new", meta={"a": 1})
    Image.objects.filter(pk=deleted.pk).delete()
    query = ImageQuery(data=jpeg(photo(1), 85))
    assert there.queries(lambda: found(1)) > 0
    for match_type in ("imgsmlr", "copy"):
        result = search_images(query, match_type=match_type, limit=5)
        remarks = {match.image.pk: match.image.remark for match in result.matches}
        assert remarks == {shown.pk: None, changed.pk: "new"}
    # The filters count as the rows are now. What is new is found when the replica has it.
    assert found(1, filters=Filters(meta={"a": 1})) == []
    Image.objects.filter(pk=shown.pk).update(data_id="x-1")
    assert set(found(1)) == {shown.pk, changed.pk}
    there.resume()
    there.catch_up()
    assert found(1, filters=Filters(meta={"a": 1})) == [changed.pk]
    assert found(1, filters=Filters(data_id_prefix="x-")) == [shown.pk]


def test_one_that_lags_too_much_is_not_asked(there: Replica, settings: Any) -> None:
    there.pause()
    image = add_ready_image(photo(1))
    assert there.queries(lambda: found(1)) > 0 and found(1) == []
    # The tests' server writes what was committed a moment later.
    wait_until(lambda: (replica.lag() or 0) > 0, 30)
    assert (replica.lag() or 0) < 600
    settings.DATABASE_REPLICA_LAG = 0
    assert there.queries(lambda: found(1)) == 0 and found(1) == [image.pk]
    there.resume()
    there.catch_up()
    assert there.queries(lambda: found(1)) > 0 and found(1) == [image.pk]
    # The server itself writes now and then, such as what runs.
    wait_until(lambda: replica.lag() == 0, 30)


@pytest.mark.slow
def test_searches_go_on_without_it(
    there: Replica, standby: Standby, caplog: pytest.LogCaptureFixture
) -> None:
    image = add_ready_image(photo(1))
    there.catch_up()
    wait_until(lambda: replica.lag() == 0, 30)
    assert found(1) == [image.pk]

    def end_session() -> list[int]:
        """In the middle of a search."""
        with replica.connection().cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return [0]

    calls = []

    def search() -> list[int]:
        calls.append(replica.connection().alias)
        return end_session() if len(calls) == 1 else [image.pk]

    assert replica.find(search) == ([image.pk], False)
    assert calls == [replica.ALIAS, "default"] and "The replica is not asked" in caplog.text
    assert there.queries(lambda: found(1)) > 0  # it is back
    standby.stop()
    connections[replica.ALIAS].close()
    try:
        assert found(1) == [image.pk] and replica.lag() is None
    finally:
        standby.start()


def test_a_database_that_is_no_standby_of_this_one_is_not_asked(
    there: Replica, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = add_ready_image(photo(1))
    connections[replica.ALIAS].close()
    monkeypatch.setitem(
        connections[replica.ALIAS].settings_dict, "HOST", connection.settings_dict["HOST"]
    )
    assert there.queries(lambda: found(1)) == 0 and found(1) == [image.pk]
    assert "leads to no standby of this database" in caplog.text

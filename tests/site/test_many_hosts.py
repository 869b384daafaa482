"""Three hosts with one database and one bucket: process trees that share no directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import requests
from django.db import connection

from benchmarks.hosts import WEB, WORKERS, Host
from gallery.items.models import Image
from imgsmlr_site.models import ApiKey
from tests.factories import jpeg, photo, png
from tests.moderation.factories import make_list
from tests.processes import wait_until
from tests.service import directory_of_a_service, environment, processes_of
from tests.storage import Storage

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Asked(Host):
    key: str

    def python(self, script: str) -> None:
        self.finish("manage.py", "shell", "-v0", "-c", script)

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"X-API-Key": self.key}
        return requests.request(method, self.url + path, headers=headers, timeout=60, **options)

    def checked(self, data: bytes) -> str:
        answer = self.ask("POST", "/api/v1/moderation/check/", files={"file": data})
        return str(answer.json()["verdict"])

    def found(self, data: bytes) -> list[int]:
        answer = self.ask("POST", "/api/v1/images/search/", files={"file": data})
        return [each["image"]["id"] for each in answer.json()["results"]]

    def files(self) -> set[str]:
        """What it keeps for itself."""
        return {path.name for path in self.data_dir.iterdir()}


@contextmanager
def hosts(count: int, storage: Storage) -> Iterator[list[Asked]]:
    assert requests.put(f"{storage.url}/media").status_code == 200
    where = connection.settings_dict
    address = f"host={quote(where['HOST'])}&port={where['PORT']}"
    env = {
        "DATABASE_URL": f"postgres://{where['USER']}@/{where['NAME']}?{address}",
        "MEDIA_S3_URL": f"{storage.url.replace('//', '//any:secret@')}/media/hosts",
        "SECRET_KEY": "that of all hosts",
        "WEB_PROCESSES": "1",
        "WORKER_NICE": "0",
    }
    _, key = ApiKey.issue(name="hosts", scopes=["search", "add", "check", "lists"])
    with ExitStack() as stack:
        found = [
            Asked(directory, environment(directory, **env), key)
            for directory in (stack.enter_context(directory_of_a_service()) for _ in range(count))
        ]
        yield found
        for host in found:
            assert host.stop() == [0]
            wait_until(lambda host=host: not processes_of(host.data_dir), 15)
            assert "Traceback" not in host.log.read_text()


@pytest.mark.slow
def test_three_hosts_are_one_service(storage: Storage) -> None:
    """Added on one, described by another, searched on the third; a ban counts at once."""
    with hosts(3, storage) as (adds, works, searches):
        adds.run(*WEB)
        searches.run(*WEB)
        works.run(*WORKERS)
        wait_until(lambda: adds.answers() and searches.answers(), 60)

        pictures = [png(photo(seed)) for seed in (1, 2)]
        sent = [adds.ask("POST", "/api/v1/images/", files={"file": data}) for data in pictures]
        assert {answer.status_code for answer in sent} == {202}, sent[0].text
        kept, banned = ids = [answer.json()["id"] for answer in sent]
        wait_until(lambda: Image.objects.ready().filter(pk__in=ids).count() == 2, 60)
        for seed, pk, data in zip((1, 2), ids, pictures, strict=True):
            assert searches.found(jpeg(photo(seed), 60))[0] == pk
            assert searches.ask("GET", f"/media/images/{pk}/original").content == data
        # Each host keeps its own models and locks; no host keeps a file of the gallery.
        assert not any("media" in host.files() for host in (adds, works, searches))

        on = make_list()
        copy = jpeg(photo(2), 70)
        assert {host.checked(copy) for host in (adds, searches)} == {"allow"}
        item = {"file": pictures[1]}
        assert adds.ask("POST", f"/api/v1/moderation/lists/{on.pk}/items/", files=item).ok
        # At the next request, and not a moment later.
        assert {host.checked(copy) for host in (searches, adds)} == {"block"}
        wait_until(lambda: not Image.objects.ready().filter(pk=banned).exists(), 60)
        assert banned not in searches.found(copy)
        assert searches.ask("GET", f"/media/images/{banned}/original").status_code == 404
        assert searches.found(jpeg(photo(1), 60))[0] == kept

        # Each host has its own index of hashes, or none, and looks at each use what it lacks.
        rebuild = "from moderation.lists.index_refresh import refresh; refresh(always=True)"
        adds.python(rebuild)
        assert len(list((adds.data_dir / "hashes").glob("*.pdq"))) == 1
        assert "hashes" not in searches.files()
        third = jpeg(photo(3), 80)
        item = {"file": png(photo(3))}
        assert searches.ask("POST", f"/api/v1/moderation/lists/{on.pk}/items/", files=item).ok
        assert {host.checked(third) for host in (adds, searches)} == {"block"}
        assert {host.checked(copy) for host in (adds, searches)} == {"block"}
        on.enabled = False
        on.save()
        assert {host.checked(third) for host in (adds, searches)} == {"allow"}

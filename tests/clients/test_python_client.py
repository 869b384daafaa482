"""The Python client, sync and async, against the real service and against one that stumbles."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from imgsmlr_client import ApiError, AsyncClient, Client, NotReached

from imgsmlr_site.models import ApiKey
from moderation.lists import item_adding
from moderation.lists.verdicts import Action
from moderation.pipeline.models import CheckAnswer
from tests.factories import jpeg, wheel_photo
from tests.moderation.factories import ADMIN, make_list


@pytest.fixture
def key(transactional_db: None) -> str:
    return ApiKey.issue(name="app", scopes=["search", "add", "check", "notices"])[1]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "coffee.jpg"
    path.write_bytes(jpeg(wheel_photo("coffee.png")))
    return path


def test_what_a_program_does(live_server: Any, key: str, photo: Path) -> None:
    row = make_list("cats", Action.REVIEW)
    cat = jpeg(wheel_photo("chelsea.png"))
    item_adding.add_picture(by=ADMIN, list_id=row.pk, data=cat)
    with Client(live_server.url, key) as client:
        added = client.add_image(photo, data_id="c-1", meta={"album": "food"}, wait=10)
        assert (added["status"], added["meta"]) == ("ready", {"album": "food"})
        with photo.open("rb") as stream:
            found = client.search_images(stream, match_type="pdq", limit=5)
        assert [match["image"]["id"] for match in found["results"]] == [added["id"]]
        assert client.search_images(image_id=added["id"])["results"][0]["certainty"] == "sure"
        with pytest.raises(ApiError) as again:
            client.add_image(photo)
        assert (again.value.code, again.value.existing_id) == ("exists", added["id"])
        assert client.check(cat, idempotency_key="post-7")["verdict"] == "review"
        assert CheckAnswer.objects.get().key == "post-7"
        assert client.check(hash="ab" * 32, hash_type="sha256")["verdict"] == "allow"
        sent = client.send_notice(
            photo, reason="other", statement="It is mine.", name="Ada", email="ada@example.org"
        )
        assert client.notice(sent["receipt"])["outcome"] is None
        assert client.image(added["id"])["data_id"] == "c-1"
        assert "queues" in client.request("GET", "status/")
        with pytest.raises(ApiError, match="403 forbidden"):
            client.statement(1)
    with Client(live_server.url, "imgs_wrong") as stranger, pytest.raises(ApiError) as wrong:
        stranger.image(1)
    assert wrong.value.status == 401


def test_the_same_by_asyncio(live_server: Any, key: str, photo: Path) -> None:
    async def run() -> list[int]:
        async with AsyncClient(live_server.url, key) as client:
            added = await client.add_image(photo, wait=10)
            searches = [client.search_images(photo, match_type="pdq") for _ in range(3)]
            found = await asyncio.gather(*searches)
            assert all(one["results"][0]["image"]["id"] == added["id"] for one in found)
            await client.delete_image(added["id"])
            with pytest.raises(ApiError, match="404"):
                await client.image(added["id"])
            return [len(one["results"]) for one in found]

    # In a thread of its own: a browser of other tests has a loop in this one.
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(lambda: asyncio.run(run())).result() == [1, 1, 1]


def test_both_have_the_same_methods() -> None:
    def methods(client: type) -> dict[str, str]:
        found = inspect.getmembers(client, inspect.isfunction)
        return {name: str(inspect.signature(one)) for name, one in found if name[0] != "_"}

    assert methods(Client) == methods(AsyncClient)


class Stumbling:
    """Answers each request with the next of ``answers``, or hangs up where it is None."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes] | None] = []
        self.seen: list[tuple[str, str, bytes]] = []
        stumbling = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b"".join(iter(self._chunk, b""))
                key = self.headers.get("Idempotency-Key", "")
                stumbling.seen.append((f"{self.command} {self.path}", key, body))
                answer = stumbling.answers.pop(0)
                if answer is None:
                    self.connection.close()
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST

            def _chunk(self) -> bytes:
                size = int(self.rfile.readline(), 16)
                chunk = self.rfile.read(size)
                self.rfile.readline()
                return chunk

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def service() -> Iterator[Stumbling]:
    made = Stumbling()
    yield made
    made.server.shutdown()
    made.server.server_close()


DONE = (200, {}, b'{"verdict": "allow", "id": 5}')


def test_it_waits_as_long_as_it_is_told(service: Stumbling, photo: Path) -> None:
    date = formatdate(time.time() + 1.5, usegmt=True)
    service.answers = [(429, {"Retry-After": "0.2"}, b""), (503, {"Retry-After": date}, b""), DONE]
    started = time.monotonic()
    with Client(service.url, "k") as client, photo.open("rb") as stream:
        assert client.check(stream)["verdict"] == "allow"
    assert 0.4 < time.monotonic() - started < 20
    keys, bodies = {key for _, key, _ in service.seen}, [body for *_, body in service.seen]
    assert len(keys) == 1
    assert "" not in keys
    assert all(photo.read_bytes() in body for body in bodies), "whole, each time"


def test_what_it_sends_again_and_what_never(service: Stumbling, photo: Path) -> None:
    with Client(service.url, patience=5) as client:
        service.answers = [None, DONE]
        assert client.search_images(url="https://p.example/1.jpg")
        exists = b'{"code": "exists", "detail": "It is here.", "existing_id": 5}'
        service.answers = [None, (409, {}, exists), DONE]
        assert client.add_image(photo)["id"] == 5, "the lost attempt had stored it"
        assert service.seen[-1][0] == "GET /api/v1/images/5/"
        service.answers = [(409, {}, exists)]
        with pytest.raises(ApiError):
            client.add_image(photo)
        service.answers, before = [None], len(service.seen)
        with pytest.raises(NotReached):
            client.send_notice(reason="other", statement="x", name="x", email="x@example.org")
        assert len(service.seen) == before + 1, "a second notice would be another one"
        service.answers = [(503, {}, b'{"code": "unavailable", "detail": "CLIP is off."}')]
        with pytest.raises(ApiError, match="CLIP is off"):
            client.search_images(text="a cat")
        service.answers, before = [(429, {"Retry-After": "600"}, b"{}")], len(service.seen)
        with pytest.raises(ApiError) as busy:
            client.image(1)
        assert (busy.value.status, len(service.seen)) == (429, before + 1), "beyond its patience"
    with Client("http://127.0.0.1:9", patience=0) as nowhere, pytest.raises(NotReached):
        nowhere.image(1)


def test_both_clients_are_the_same_but_for_waiting() -> None:
    """Python has no way to write a method once for both, so they are compared."""
    package = Path(inspect.getfile(Client)).parent
    waits, runs_at_once = (
        (package / f"{name}.py").read_text().split('"""The client for', 1)[1].split("\n", 1)[1]
        for name in ("synchronous", "asynchronous")
    )
    for written, instead in (
        ("async def __aenter__", "def __enter__"),
        ("async def __aexit__", "def __exit__"),
        ("async def ", "def "),
        ("await asyncio.", "time."),
        ("await ", ""),
        (".aclose()", ".close()"),
        ("import asyncio\n", "import time\n"),
        ("httpx2.AsyncClient", "httpx2.Client"),
        ("class AsyncClient", "class Client"),
        ("many at a time.", "one after the other or from several threads."),
    ):
        assert written in runs_at_once
        runs_at_once = runs_at_once.replace(written, instead)
    # Only the order of imports may differ.
    assert sorted(runs_at_once.splitlines()) == sorted(waits.splitlines())
    assert runs_at_once.partition("class ")[2] == waits.partition("class ")[2]

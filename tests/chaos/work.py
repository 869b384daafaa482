"""What clients do meanwhile: each keeps a record of what the service has accepted."""

from __future__ import annotations

import functools
import io
import json
import random
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import av
import urllib3

from tests.factories import jpeg, photo

BANNED_EVERY = 8
"""Every so manieth picture is one whose hash is on the list."""
ROWS = 3_000
"""Rows of a hash list that is imported."""


@functools.cache
def _clip() -> bytes:
    """Four seconds of a picture that moves, as MP4."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        picture = photo(0, (320, 120))
        for at in range(40):
            shown = picture.crop((at * 4, 0, at * 4 + 160, 120))
            container.mux(stream.encode(av.VideoFrame.from_image(shown)))
        container.mux(stream.encode(None))
    return out.getvalue()


def clip(seed: int) -> bytes:
    """A file of its own for each seed: all show the same."""
    return _clip() + struct.pack(">I4sQ", 16, b"free", seed)


@dataclass
class Accepted:
    """What the service answered with success. Only the thread that asks for it writes each."""

    images: dict[int, int] = field(default_factory=dict)
    """Seed of the picture → id."""
    videos: dict[int, int] = field(default_factory=dict)
    """Seed of the clip → id."""
    imports: dict[int, str] = field(default_factory=dict)
    """Id of the import → the source of its rows."""
    batches: dict[int, list[int]] = field(default_factory=dict)
    """Id of the batch of decisions → its cases."""
    scanned: list[int] = field(default_factory=list)
    """Images whose hash was put on a list, which starts a rescan."""
    checks: int = 0
    refusals: dict[int, int] = field(default_factory=dict)
    """Status → how often it was answered."""
    cut: int = 0
    """Requests without an answer."""


class Clients:
    """Threads that work until they are stopped."""

    def __init__(self, url: str, keys: dict[str, str], lists: dict[str, int], seed: int) -> None:
        self.url, self.keys, self.lists = url, keys, lists
        self.accepted = Accepted()
        self.pool = urllib3.PoolManager(retries=False, maxsize=8)
        self._chance = random.Random(seed)
        self._next_seed = 0
        self._stop = threading.Event()
        jobs = (
            *(self._add, self._add, self._add_video),
            *(self._check, self._import, self._decide, self._scan),
        )
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._repeat, args=[job]) for job in jobs]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, job: Callable[[], None]) -> None:
        while not self._stop.is_set():
            job()

    def ask(self, method: str, path: str, key: str, **options: Any) -> tuple[int, Any]:
        """Return status and body; status 0 without an answer."""
        headers = {"X-API-Key": self.keys[key]}
        try:
            answer = self.pool.request(
                method, f"{self.url}/api/v1/{path}", headers=headers, timeout=30.0, **options
            )
        except urllib3.exceptions.HTTPError:
            self.accepted.cut += 1
            time.sleep(0.2)
            return 0, None
        if answer.status >= 400:
            counts = self.accepted.refusals
            counts[answer.status] = counts.get(answer.status, 0) + 1
        if answer.status >= 500:
            time.sleep(0.2)
        return answer.status, json.loads(answer.data) if answer.data else None

    def insist(self, *args: Any, **options: Any) -> tuple[int, Any]:
        """Ask until there is an answer that is not the service's fault."""
        while True:
            status, body = self.ask(*args, **options)
            if 0 < status < 500:
                return status, body

    def _add(self) -> None:
        with self._lock:
            seed = self._next_seed
            self._next_seed += 1
        fields = {"file": ("a.jpg", jpeg(photo(seed)))}
        status, body = self.insist("POST", "images/", "adder", fields=fields)
        # 409: stored by an attempt whose answer was lost.
        if status in (201, 202, 409):
            self.accepted.images[seed] = body.get("id") or body["existing_id"]
        time.sleep(0.15)

    def _add_video(self) -> None:
        seed = len(self.accepted.videos)
        fields = {"file": ("a.mp4", clip(seed))}
        status, body = self.insist("POST", "videos/", "adder", fields=fields)
        if status in (201, 202, 409):
            self.accepted.videos[seed] = body.get("id") or body["existing_id"]
        self._stop.wait(4)

    def _check(self) -> None:
        seed = self._chance.randrange(1000) * BANNED_EVERY
        fields = {"file": ("a.jpg", jpeg(photo(seed)))}
        status, _ = self.ask("POST", "moderation/check/", "checker", fields=fields)
        self.accepted.checks += status == 200
        time.sleep(0.3)

    def _import(self) -> None:
        source = f"import {len(self.accepted.imports)} {time.monotonic_ns()}"
        rows = "\n".join(f"{self._chance.getrandbits(256):064x}" for _ in range(ROWS))
        fields = {
            "file": ("list.txt", rows.encode()),
            "list": str(self.lists["imported"]),
            "source": source,
            "kind": "sha256",
            "confirmed": "true",
        }
        status, body = self.ask("POST", "moderation/imports/", "checker", fields=fields)
        if status in (201, 202):
            self.accepted.imports[body["id"]] = source
        self._stop.wait(5)

    def _decide(self) -> None:
        status, body = self.ask("GET", "moderation/cases/?limit=20", "moderator")
        cases = [case["id"] for case in body["results"]] if status == 200 else []
        if cases:
            asked = {"cases": cases, "verb": self._chance.choice(["confirm", "dismiss"])}
            status, body = self.ask("POST", "moderation/cases/decide/", "moderator", json=asked)
            if status == 201:
                self.accepted.batches[body["id"]] = cases
        self._stop.wait(2)

    def _scan(self) -> None:
        """Put a hash on the list that a stored picture has."""
        with self._lock:
            some = list(self.accepted.images.values())
        if some:
            image = self._chance.choice(some)
            path = f"moderation/lists/{self.lists['scanned']}/items/"
            status, _ = self.ask("POST", path, "checker", json={"image_id": image})
            if status == 201:
                self.accepted.scanned.append(image)
        self._stop.wait(3)

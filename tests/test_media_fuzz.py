"""Damaged media at the doors and at the decoders: answers and refusals, and nothing else.

``make fuzz`` tries 20,000 pictures and 2,000 videos, and prints a table of what happened.
"""

from __future__ import annotations

import io
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from gallery.imaging import decoding
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.decoding.rendered_pictures import rendered_pictures
from gallery.shared.errors import UserError
from imgsmlr_site.env import LOOPBACK
from tests import processes
from tests.examples import FACTOR
from tests.media_mutations import damaged, pictures, videos
from tests.moderation.factories import make_item, make_list
from videos.decode.decoder_protocol import VideoLimits
from videos.decode.decoding import decode

pytestmark = [pytest.mark.fuzz, pytest.mark.django_db]

PICTURES, VIDEOS = 20_000 if FACTOR else 120, 2_000 if FACTOR else 12
ALSO_POSTED = 20
"""One of so many is sent to the service as well."""
SEED = random.SystemRandom().randrange(2**32) if FACTOR else 1

LIMITS = PictureLimits(max_pixels=16_000_000, cpu_seconds=5, memory_bytes=2**30)
VIDEO_LIMITS = VideoLimits(memory_bytes=2**30, cpu_seconds=10, wall_seconds=60.0)


class Tally:
    """What happened, for the table."""

    def __init__(self, what: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._what, self._capsys = what, capsys
        self.outcomes: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0
        self._memory = processes.memory(os.getpid(), "VmHWM")

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Note how long one file took and what became of it. A refusal must be a sentence."""
        started, outcome = time.monotonic(), "read"
        try:
            yield
        except UserError as error:
            assert error.message.endswith("."), (name, error.message)
            outcome = "decoder ended" if "decoder failed" in error.message else error.code
        self.outcomes[outcome] += 1
        self.slowest = max(self.slowest, time.monotonic() - started)

    def grown(self) -> int:
        """Bytes of this process at most, more than at the beginning."""
        return processes.memory(os.getpid(), "VmHWM") - self._memory

    def print(self) -> None:
        with self._capsys.disabled():
            print(f"\n{self._what}, seed {SEED}: {dict(self.outcomes.most_common())}")
            print(f"  posted: {dict(self.statuses)}; slowest {self.slowest:.1f} s")
            print(f"  this process grew by {self.grown() >> 20} MB")


@pytest.fixture
def door(client: Client, settings: Any) -> Any:
    """Send a file to be checked, with a list that every frame is compared with."""
    settings.OPEN_API = LOOPBACK
    settings.THROTTLE_POINTS = 0
    make_item(make_list(), ("pdq", "0f" * 32))

    def send(data: bytes) -> int:
        file = SimpleUploadedFile("file", data)
        answer = client.post("/api/v1/moderation/check/", {"file": file})
        assert answer.status_code < 500, answer.content
        return answer.status_code

    return send


def test_damaged_pictures(door: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rng, tally = random.Random(SEED), Tally("pictures", capsys)
    for number in range(PICTURES):
        name, data = damaged(rng, pictures())
        with tally.reading(name):
            first = decoding.decode(data, LIMITS)
            assert first.thumbnail(32)
            for one in rendered_pictures(data, LIMITS, first=first):
                assert one.rgb.shape[2] == one.legacy_rgb.shape[2] == 3
        if number % ALSO_POSTED == 0:
            tally.statuses[door(data)] += 1
    if FACTOR:
        tally.print()
    assert tally.slowest < 4 * LIMITS.cpu_seconds
    assert tally.grown() < LIMITS.memory_bytes
    assert {"read", "not_an_image"} <= tally.outcomes.keys()


def test_damaged_videos(door: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rng, tally = random.Random(SEED), Tally("videos", capsys)
    for number in range(VIDEOS):
        name, data = damaged(rng, videos())
        with (
            tally.reading(name),
            decode(io.BytesIO(data), VIDEO_LIMITS, screening=True) as video,
        ):
            assert all(frame.rgb.shape[2] == 3 for frame in video)
        if number % ALSO_POSTED == 0:
            tally.statuses[door(data)] += 1
    if FACTOR:
        tally.print()
    assert tally.slowest < VIDEO_LIMITS.wall_seconds
    assert not processes.forked("decode_child")
    assert {"read", "not_a_video"} <= tally.outcomes.keys()

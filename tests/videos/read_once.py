"""Each clip is decoded and described once; later tests get what that gave.

For tests of what is done with indexed videos. Those of decoding and indexing read every time.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from videos import conf
from videos.decode.decoder_protocol import VideoInfo
from videos.index import indexing
from videos.index.reading import IndexedVideo
from videos.items import adding
from videos.models import Video

_described: dict[Hashable, tuple[IndexedVideo, bytes]] = {}
_headers: dict[Hashable, VideoInfo] = {}


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the test ends."""
    monkeypatch.setattr(indexing, "read_video", _remembering_read(indexing.read_video))
    monkeypatch.setattr(adding, "_probe", _remembering_probe(adding._probe))


def _remembering_read(read: Any) -> Any:
    @contextmanager
    def remembering(
        original: Path | BinaryIO, progress: Callable[[float], None], *, video_id: int
    ) -> Iterator[IndexedVideo]:
        # What other videos show counts: the weights of frames depend on it.
        others = Video.objects.filter(frames__isnull=False).exclude(pk=video_id)
        stored = tuple(sorted(set(others.values_list("sha256", flat=True))))
        data = original.read_bytes() if isinstance(original, Path) else original.read()
        key = (hashlib.sha256(data).digest(), stored, conf.phase(), conf.limits())
        if key not in _described:
            with read(io.BytesIO(data), progress, video_id=video_id) as new:
                new.proxy.seek(0)
                _described[key] = new, new.proxy.read()
        new, proxy = _described[key]
        yield replace(new, proxy=io.BytesIO(proxy))

    return remembering


def _remembering_probe(probe: Any) -> Any:
    def remembering(file: Any) -> VideoInfo:
        file.seek(0)
        key = (hashlib.sha256(file.read()).digest(), conf.probe_limits())
        if key not in _headers:
            _headers[key] = probe(file)
        return _headers[key]

    return remembering

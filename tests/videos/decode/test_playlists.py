"""Files that tell a player to open other files or addresses: nothing of them is opened."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from gallery.items.item import Status
from tests.httpserver import HttpServer
from tests.videos.clips import encode, moving, timed
from tests.videos.decode.test_hostile_videos import judged

pytestmark = pytest.mark.django_db

DISGUISES = {"bare": b"", "MP4": b"\0\0\0\x18ftypmp42"}
PLAYLISTS = {
    "ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
    "HLS, the list of lists": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{}\n",
    "HLS, a key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{}"\n#EXTINF:1,\na.ts\n',
    "HLS, a header": '#EXTM3U\n#EXT-X-MAP:URI="{}"\n#EXTINF:1,\na.ts\n',
    "DASH": '<?xml version="1.0"?><MPD><Period><BaseURL>{}</BaseURL></Period></MPD>',
    "SDP": "v=0\ns=x\nc=IN IP4 127.0.0.1\na=control:{}\nm=video 9 RTP/AVP 96\n",
    "PLS": "[playlist]\nFile1={}\nNumberOfEntries=1\n",
    "ASX": '<asx version="3.0"><entry><ref href="{}"/></entry></asx>',
    "QuickTime reference": '<?xml version="1.0"?><?quicktime type="x"?><embed src="{}"/>',
    "MPV list": "# mpv EDL v0\n{}\n",
}
TARGETS = (
    *("{file}", "file://{file}", "concat:{file}|{file}", "subfile,,start,0,end,0,,:{file}"),
    *(
        "crypto:{file}",
        "async:{file}",
        "data:video/mp4;base64,{data}",
        "pipe:0",
        "{web}/secret.mp4",
    ),
    *("tcp://127.0.0.1:{port}", "tee:{file}"),
)


@pytest.fixture(scope="module")
def secret() -> bytes:
    return encode(timed(moving("coffee", 0.5)))


@pytest.mark.slow
@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("playlist", PLAYLISTS)
def test_a_playlist_opens_nothing(
    client: Client, web: HttpServer, tmp_path: Path, secret: bytes, playlist: str, disguise: str
) -> None:
    web.routes = {"/secret.mp4": secret}
    file = tmp_path / "secret.mp4"
    file.write_bytes(secret)
    facts: dict[str, Any] = {"file": file, "web": web.url, "port": web.port}
    facts["data"] = base64.b64encode(secret).decode()
    # How a disguised list is read does not depend on where it leads.
    for target in TARGETS if disguise == "bare" else TARGETS[:1]:
        text = PLAYLISTS[playlist].format(target.format(**facts))
        outcome, _ = judged(client, DISGUISES[disguise] + text.encode())
        assert outcome in ("refused", Status.FAILED), target
    assert web.requests == []

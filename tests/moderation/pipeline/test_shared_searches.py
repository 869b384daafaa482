"""Shared searches over HTTP: who gets what, for how long, and what may not be shared."""

from __future__ import annotations

import io
from base64 import b64decode
from datetime import datetime, timedelta
from typing import Any

import av
import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone
from PIL import Image as Pillow

from gallery import tasks
from gallery.items.models import SharedSearch
from gallery.search import sharing
from imgsmlr_site.models import ApiKey, Scope
from moderation.audit.models import AuditEvent
from moderation.lists.verdicts import Action
from tests.factories import photo, png
from tests.moderation.factories import make_item, make_list
from tests.moderation.pipeline.test_gates import pdq_of
from tests.videos import clips
from videos.match.queries import MAX_QUERY_FRAMES
from videos.match.video_search import read_query

pytestmark = pytest.mark.django_db
PATH = "/api/v1/images/shared/"
CLIPS = "/api/v1/videos/shared/"


def client_of(name: str, scope: Scope = Scope.SEARCH) -> Client:
    _, text = ApiKey.issue(name=name, scopes=[scope])
    return Client(headers={"X-API-Key": text})


@pytest.fixture
def sender(settings: Any) -> Client:
    settings.THROTTLE_POINTS = 0
    return client_of("sender")


def share(client: Client, data: bytes, path: str = PATH) -> Any:
    return client.post(path, {"file": SimpleUploadedFile("a.png", data)})


def opened(client: Client, token: str) -> tuple[str, bytes]:
    """The type and the bytes of what the link holds."""
    answer = client.get(f"{PATH}{token}/").json()
    head, _, data = (answer.get("picture") or answer["clip"]).partition(",")
    return head, b64decode(data)


def footage(seconds: float = 12) -> bytes:
    """Four photographs, one after the other."""
    shots = [
        frame
        for name in ("astronaut", "coffee", "rocket", "coins")
        for frame in clips.moving(name, seconds / 4, rate=10)
    ]
    return clips.encode(clips.timed(shots, rate=10))


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_whoever_may_search_opens_it_until_it_ends(sender: Client) -> None:
    answer = share(sender, png(photo(1, (2000, 1000))))
    assert answer.status_code == 201
    token, ends_at = answer.json()["token"], datetime.fromisoformat(answer.json()["ends_at"])
    left = ends_at - timezone.now()
    assert timedelta(hours=23) < left <= timedelta(hours=24, minutes=-sharing.CLEANED_MINUTES)

    other = client_of("other")
    kind, data = opened(other, token)
    assert kind == "data:image/jpeg;base64"
    picture = Pillow.open(io.BytesIO(data))
    assert picture.size == (1024, 512) and not picture.getexif()

    assert Client().get(f"{PATH}{token}/").status_code == 401
    assert share(Client(), png(photo(2))).status_code == 401
    assert client_of("adder", Scope.ADD).get(f"{PATH}{token}/").status_code == 403
    assert code_of(other.get(f"{PATH}{'x' * 32}/")) == (404, "share_ended")
    event = AuditEvent.objects.get(verb="sharedsearch.shared")
    assert (event.actor, event.subject_id) == ("key:sender", SharedSearch.objects.get().pk)
    assert token not in str(event.after)

    SharedSearch.objects.update(ends_at=timezone.now())
    assert code_of(other.get(f"{PATH}{token}/")) == (404, "share_ended")
    assert tasks.forget_shared_searches() == 1
    assert not SharedSearch.objects.exists()


def test_no_backup_keeps_it(db: None) -> None:
    """Backups leave unlogged tables out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relpersistence FROM pg_class WHERE relname = %s",
            [SharedSearch._meta.db_table],
        )
        assert cursor.fetchone() == ("u",)


def test_it_is_bounded(sender: Client, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "MOST_OF_ONE", 1)
    monkeypatch.setattr(sharing, "MOST", 2)
    assert share(sender, png(photo(1))).status_code == 201
    assert code_of(share(sender, png(photo(2)))) == (409, "too_many_shared")
    assert share(client_of("other"), png(photo(2))).status_code == 201
    assert code_of(share(client_of("third"), png(photo(3)))) == (409, "too_many_shared")
    # What has ended counts no more.
    SharedSearch.objects.update(ends_at=timezone.now())
    assert share(sender, png(photo(2))).status_code == 201
    assert SharedSearch.objects.count() == 1
    assert code_of(share(sender, b"no picture")) == (400, "not_an_image")
    settings.SHARE_HOURS = 0
    assert code_of(share(sender, png(photo(4)))) == (503, "unavailable")
    settings.THROTTLE_POINTS = 15  # less than two of them
    assert [share(sender, png(photo(4))).status_code for _ in range(2)] == [503, 429]


@pytest.mark.parametrize("action", [Action.REVIEW, Action.BLOCK])
def test_what_is_banned_or_doubted_is_not_shared(sender: Client, action: Action) -> None:
    make_item(make_list(action=action), ("pdq", pdq_of(photo(1)), 90))
    assert code_of(share(sender, png(photo(1)))) == (451, "query_banned")
    token = share(sender, png(photo(2))).json()["token"]
    assert SharedSearch.objects.count() == 1
    make_item(make_list("later", action), ("pdq", pdq_of(photo(2)), 90))
    assert code_of(sender.get(f"{PATH}{token}/")) == (404, "share_ended")
    assert not SharedSearch.objects.exists()


def test_of_a_clip_the_pictures_that_a_search_looks_at_are_kept(sender: Client) -> None:
    clip = footage()
    answer = share(sender, clip, CLIPS)
    assert answer.status_code == 201
    kind, copy = opened(client_of("other"), answer.json()["token"])
    assert kind == "data:video/mp4;base64"
    (frames, still), (again, _) = read_query(clip), read_query(copy)
    assert not still and len(frames) == MAX_QUERY_FRAMES
    assert [frame.t for frame in again] == [frame.t for frame in frames]
    differing = [
        np.abs(one.rgb.astype(int) - other.rgb).mean()
        for one, other in zip(frames, again, strict=True)
    ]
    assert max(differing) < 6, "each picture is the one of its time"
    assert len(copy) < 64 * 10_000
    with av.open(io.BytesIO(copy)) as container:
        assert not container.streams.audio and len(container.streams.video) == 1


def test_a_still_is_shared_as_a_picture(sender: Client) -> None:
    """Pictures are searched for in videos, too. An animation that moves is a clip."""
    moving = clips.animation([np.asarray(photo(number)) for number in range(4)], "GIF")
    for data, expected in (
        (png(photo(1)), "data:image/jpeg;base64"),
        (moving, "data:video/mp4;base64"),
    ):
        answer = share(sender, data, CLIPS)
        assert opened(sender, answer.json()["token"])[0] == expected
    assert code_of(share(sender, b"no clip", CLIPS)) == (400, "not_a_video")
    assert share(Client(), footage(2), CLIPS).status_code == 401


def test_a_clip_that_shows_what_is_banned_is_not_shared(sender: Client) -> None:
    shown = clips.photograph("coffee")[:426]
    clip = clips.encode(clips.timed([shown] * 30, rate=10))
    token = share(sender, clip, CLIPS).json()["token"]
    make_item(make_list(action=Action.REVIEW), ("pdq", pdq_of(Pillow.fromarray(shown)), 90))
    assert code_of(share(sender, clip, CLIPS)) == (451, "query_banned")
    assert code_of(sender.get(f"{PATH}{token}/")) == (404, "share_ended")
    assert not SharedSearch.objects.exists()

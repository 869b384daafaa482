"""A case's video, played: who may, what is noted, in which parts the file is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from gallery.items.changing import quarantine_items
from moderation.access.permissions import Role
from moderation.audit.models import AuditEvent
from moderation.cases import media_access
from moderation.cases.models import Exposure, ReviewCase
from tests import factories as pictures
from tests.moderation import factories as make
from tests.videos import library
from tests.videos.clips import encode, still, timed
from videos.models import Video

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("clips_are_read_once", "plain_static_files"),
]
CLIP = encode(timed(still("rocket", 2)))


@pytest.fixture
def case() -> ReviewCase:
    video = library.add_ready(CLIP)
    quarantine_items(items=Video.objects.all(), by="worker")
    return make.make_case(make.make_item(make.make_list("terror")), video=video, held=True)


def enter(role: Role) -> Client:
    client = Client()
    client.force_login(make.make_person(role, f"a-{role.name.lower()}"))
    return client


def ask(client: Client, case: ReviewCase) -> Any:
    return client.post(
        reverse("console:play", args=[case.pk]), headers={"Accept": "application/json"}
    )


def body_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_a_look_is_noted_once_and_read_in_parts(case: ReviewCase) -> None:
    ann = enter(Role.MODERATOR)
    assert f'data-play="{reverse("console:play", args=[case.pk])}"' in page(ann, case)
    assert not Exposure.objects.exists(), "opening the page is no look"
    original, small = ask(ann, case).json()["links"]
    for text, start, stop in (("bytes=0-", 0, len(CLIP)), ("bytes=100-199", 100, 200)):
        part = ann.get(original, headers={"Range": text})
        assert (part.status_code, part["Content-Type"]) == (206, "video/mp4")
        assert part["Content-Range"] == f"bytes {start}-{stop - 1}/{len(CLIP)}"
        assert body_of(part) == CLIP[start:stop]
    assert {"private", "no-store"} <= set(part["Cache-Control"].split(", "))
    assert "sandbox" in part["Content-Security-Policy"]
    assert part["X-Content-Type-Options"] == "nosniff"
    assert ann.get(original, headers={"Range": f"bytes={len(CLIP)}-"}).status_code == 416
    assert b"ftyp" in body_of(ann.get(small))[:16]
    assert Exposure.objects.get().count == 1
    ask(ann, case)
    assert Exposure.objects.get().count == 2
    events = AuditEvent.objects.filter(verb="media.seen", actor="user:a-moderator")
    assert [(one.subject_id, one.after["what"]) for one in events] == [(case.pk, "video")] * 2
    call_command("verify_audit")
    ann.post(reverse("console:decide", args=[case.pk]), {"verb": "confirm"})
    assert case.decisions.get().looked


def test_only_moderators_play_and_only_what_they_asked_for(
    case: ReviewCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, lead = enter(Role.MODERATOR), enter(Role.LEAD)
    link, _ = ask(ann, case).json()["links"]
    for role in (Role.NOBODY, Role.VIEWER):
        client = enter(role)
        assert ask(client, case).status_code == 403
        assert client.get(link).status_code == 403
    assert ask(Client(), case).status_code == 302 == Client().get(link).status_code
    assert ann.get(reverse("console:play", args=[case.pk])).status_code == 405
    other = make.make_case(make.make_item(make.make_list()), video=case.video)
    for wrong in (
        link.split("?")[0],
        f"{link}x",
        link.replace(f"/{case.pk}/", f"/{other.pk}/"),
    ):
        assert ann.get(wrong).status_code == 403, wrong
    assert lead.get(link).status_code == 403, "a look of somebody else"
    assert ann.get(link.replace("original", "large")).status_code == 404
    assert Exposure.objects.get().count == 1
    monkeypatch.setattr(media_access, "LOOK_DURATION", timedelta(seconds=-1))
    assert ann.get(link).status_code == 403, "it is over"


def test_what_is_gone_is_told_in_a_sentence_and_is_no_look(case: ReviewCase) -> None:
    ann, video = enter(Role.MODERATOR), case.video
    assert video is not None
    original, small = ask(ann, case).json()["links"]
    default_storage.delete(video.original.name or "")
    assert ann.get(original).status_code == 404
    assert len(ask(ann, case).json()["links"]) == 1, "the small copy is left"
    default_storage.delete(video.proxy.name or "")
    assert ann.get(small).status_code == 404
    gone = ask(ann, case)
    assert (gone.status_code, gone.json()["detail"]) == (
        404,
        "The file of this video is not stored, so it cannot be played.",
    )
    assert Exposure.objects.get().count == 2
    case.video = None
    case.save()
    assert ask(ann, case).status_code == 404


def test_of_what_no_player_shows_the_small_copy_is_offered(case: ReviewCase) -> None:
    moving = Video.objects.get()
    moving.original.save("videos/a.gif", ContentFile(b"GIF89a"), save=False)
    Video.objects.update(format="gif", original=moving.original.name)
    (link,) = ask(enter(Role.MODERATOR), case).json()["links"]
    assert "/small/" in link


def test_a_case_about_a_picture_has_nothing_to_play(db: None) -> None:
    image = pictures.add_ready_image(data=pictures.png(pictures.photo(1, (320, 240))))
    case, ann = make.make_case(make.make_item(make.make_list()), image), enter(Role.MODERATOR)
    assert "data-play" not in page(ann, case)
    answer = ask(ann, case)
    assert (answer.status_code, answer.json()["detail"]) == (404, "This case is not about a video.")
    assert not Exposure.objects.exists()


def page(client: Client, case: ReviewCase) -> str:
    return client.get(reverse("console:case", args=[case.pk])).content.decode()

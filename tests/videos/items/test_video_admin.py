"""The admin of videos: what each page shows, to whom, and what each action does."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from gallery.items import changing
from tests import pages
from tests.httpserver import HttpServer
from tests.videos.clips import encode, moving, plain, timed
from videos.admin.timeline import BINS, strip, timeline
from videos.index import indexing
from videos.items import adding
from videos.models import Status, Video

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("plain_static_files", "clips_are_read_once"),
]
LIST = "/admin/videos/video/"
ADD = "/admin/videos/video/add/"
CLIP = encode(timed([*plain(0, 1), *moving("astronaut", 2)]))
OTHER = encode(timed(moving("coffee", 1)))


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def staff() -> Callable[..., Client]:
    """``staff("view", "change")`` → a client of a staff user with these permissions on videos."""

    def make_client(*rights: str, role: str = "moderator") -> Client:
        user = User.objects.create_user("bob", is_staff=True)
        names = [f"{right}_video" for right in rights]
        user.groups.set(Group.objects.filter(name=role))
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client = Client()
        client.force_login(user)
        return client

    return make_client


def pending(data: bytes = CLIP, **fields: Any) -> Video:
    return adding.add_video(file=ContentFile(data), by="tests", **fields)


def ready(data: bytes = CLIP, **fields: Any) -> Video:
    video = pending(data, **fields)
    assert indexing.index_videos([video.pk]) == 1
    video.refresh_from_db()
    return video


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def act(client: Client, name: str, *videos: Video) -> Any:
    """Choose, and confirm where that is asked."""
    data: dict[str, Any] = {"action": name, "_selected_action": [video.pk for video in videos]}
    return pages.confirm(client, LIST, data)


def messages_of(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def press(client: Client, video: Video, button: str, **fields: Any) -> Any:
    data = {"data_id": "", "remark": "", "meta": "", f"videos_video_{button}": "1", **fields}
    asked = client.post(f"{LIST}{video.pk}/change/", data, follow=True)
    action = button.removesuffix("_this")
    action = "index_again" if action == "index_this_again" else action
    return pages.confirm(client, LIST, {"action": action, "_selected_action": [video.pk]}, asked)


# --- pages


def test_the_list_shows_thumbnail_duration_frames_and_progress(root: Client) -> None:
    video = ready(data_id="first")
    waiting = pending(OTHER)
    Video.objects.filter(pk=waiting.pk).update(progress=42)
    html = page(root, LIST)
    assert f"/api/v1/videos/{video.pk}/thumbnail/" in html
    assert "0:00:03" in html
    assert f"{video.frames.count()}\u00a0frames" in html
    assert re.search(r'<progress[^>]*value="42"', html)
    assert html.count("<progress") == 1
    assert "first" in html


def test_the_list_is_filtered_and_searched(root: Client) -> None:
    video, waiting = ready(data_id="a-1"), pending(OTHER, data_id="b-1")
    for query, found in (
        ("?status__exact=pending", waiting),
        (f"?q={video.md5}", video),
        ("?q=b-", waiting),
        (f"?q={video.pk}", video),
    ):
        rows = root.get(LIST + query).context["cl"].result_list
        assert list(rows) == [found]
    assert not root.get(LIST + "?format=mkv").context["cl"].result_list
    assert len(root.get(LIST + "?format=mp4").context["cl"].result_list) == 2


def test_a_list_of_many_asks_as_much_as_a_list_of_one(
    root: Client, django_assert_max_num_queries: Any
) -> None:
    ready()
    pending(OTHER)
    with django_assert_max_num_queries(14):
        page(root, LIST)


def test_a_video_is_played_with_its_strip_and_timeline(root: Client) -> None:
    video = ready()
    html = page(root, f"{LIST}{video.pk}/change/")
    assert f'src="/api/v1/videos/{video.pk}/file/"' in html
    moments = re.findall(rf'src="/api/v1/videos/{video.pk}/frame/\?t=([0-9.]+)"', html)
    assert [float(t) * 1000 for t in moments] == list(
        video.frames.order_by("t0").values_list("t0", flat=True)
    )
    for t in moments:
        assert root.get(f"/api/v1/videos/{video.pk}/frame/?t={t}").status_code == 200
    assert '<rect class="silent" x="0"' in html
    assert '<rect class="rare"' in html
    assert "media-src 'self'" in root.get(LIST)["Content-Security-Policy"]


def test_what_browsers_do_not_play_is_played_from_the_small_copy(root: Client) -> None:
    video = ready(encode(timed(moving("coffee", 1)), "mkv"))
    assert f'/api/v1/videos/{video.pk}/file/?small=1"' in page(root, f"{LIST}{video.pk}/change/")


def test_the_timeline_says_what_can_be_found() -> None:
    video = ready()
    found = timeline(video)
    assert [stretch.kind for stretch in found] == ["silent", "rare"]
    assert sum(stretch.width for stretch in found) == BINS
    assert found[0].width == pytest.approx(BINS / 3, abs=6)
    assert strip(video)[0].seconds == 0


def test_a_failed_video_says_why(root: Client) -> None:
    video = pending()
    Video.objects.update(status=Status.FAILED, failure="It is damaged, send it again.")
    assert "It is damaged, send it again." in page(root, f"{LIST}{video.pk}/change/")


def test_only_moderators_see_quarantined_pictures(
    root: Client, staff: Callable[..., Client]
) -> None:
    video = ready()
    changing.quarantine_items(items=Video.objects.all(), by="tests")
    bob = staff("view", "change", role="viewer")
    for path in (LIST, f"{LIST}{video.pk}/change/"):
        assert f"/api/v1/videos/{video.pk}/" in page(root, path)
        assert f"/api/v1/videos/{video.pk}/" not in page(bob, path)
    assert act(bob, "release", video).status_code == 200
    video.refresh_from_db()
    assert video.status == Status.QUARANTINED


def test_rights(staff: Callable[..., Client]) -> None:
    video = ready()
    bob = staff("view")
    assert bob.get(ADD).status_code == 403
    for action in ("index_again", "delete_selected", "quarantine"):
        act(bob, action, video)
    video.refresh_from_db()
    assert (video.status, video.reindex) == (Status.READY, False)


def test_unknown_videos(root: Client) -> None:
    for path in ("999/change/", "x/change/"):
        assert root.get(LIST + path, follow=True).status_code in (200, 404)


# --- adding


def test_adding_files_and_links(root: Client, web: HttpServer) -> None:
    web.routes = {"/other": OTHER}
    answer = root.post(
        ADD,
        {
            "files": [SimpleUploadedFile("a.mp4", CLIP), SimpleUploadedFile("b.txt", b"text " * 9)],
            "urls": f"{web.url}/other\n{web.url}/none",
            "remark": "from the admin",
        },
    )
    results = answer.context["results"]
    assert [bool(result.item_id) for result in results] == [True, False, True, False]
    assert "text" in results[1].problem
    assert "404" in results[3].problem
    assert (
        list(Video.objects.values_list("remark", "added_by"))
        == [("from the admin", "user:root")] * 2
    )


def test_adding_nothing_too_much_and_what_is_here(root: Client, settings: Any) -> None:
    assert "Choose a file" in root.post(ADD, {"urls": ""}).content.decode()
    many = "\n".join(["http://example.org/"] * 11)
    assert "at most 10" in root.post(ADD, {"urls": many}).content.decode()
    video = pending()
    answer = root.post(ADD, {"files": [SimpleUploadedFile("a.mp4", CLIP)]})
    assert answer.context["results"][0].item_id == video.pk
    settings.MAX_VIDEO_BYTES = 1000
    answer = root.post(ADD, {"files": [SimpleUploadedFile("a.mp4", CLIP)]})
    assert "at most 1000" in answer.context["results"][0].problem


# --- actions


def test_deleting_is_confirmed_first(root: Client) -> None:
    first, second = ready(), pending(OTHER)
    chosen = {"action": "delete_selected", "_selected_action": [first.pk, second.pk]}
    answer = pages.shown(root, LIST, chosen)
    assert "2 videos" in answer.content.decode()
    assert Video.objects.count() == 2
    pages.confirm(root, LIST, {**chosen, "_selected_action": [first.pk]}, answer)
    assert Video.objects.count() == 2
    answer = pages.confirm(root, LIST, chosen, answer)
    assert messages_of(answer) == ["2 videos deleted."]
    assert not Video.objects.exists()


def test_deleting_from_a_videos_own_page(root: Client) -> None:
    video = ready()
    path = f"{LIST}{video.pk}/delete/"
    asked = root.get(path)
    chosen = {"action": "delete_selected", "_selected_action": [video.pk]}
    pages.confirm(root, LIST, chosen, asked)
    assert not Video.objects.exists()


def test_indexing_again_is_confirmed_first(root: Client) -> None:
    done, waiting = ready(), pending(OTHER)
    lost = ready(encode(timed(moving("chelsea", 1))))
    Video.objects.filter(pk=lost.pk).update(original="")
    chosen = [done.pk, waiting.pk, lost.pk]
    answer = pages.shown(root, LIST, {"action": "index_again", "_selected_action": chosen})
    assert "Index again 1 video" in answer.content.decode()
    done.refresh_from_db()
    assert not done.reindex
    answer = act(root, "index_again", done, waiting, lost)
    queued, skipped, other = messages_of(answer)
    assert queued == "1 video queued to be indexed again."
    assert skipped.startswith("1 video skipped: the file was not kept")
    assert other == "1 video skipped: waiting already."
    done.refresh_from_db()
    assert done.reindex
    assert "<progress" in page(root, f"{LIST}{done.pk}/change/")


def test_a_failed_video_is_tried_again_from_its_page(root: Client) -> None:
    video = pending()
    Video.objects.update(status=Status.FAILED, failure="It failed.", attempts=3)
    answer = press(root, video, "index_this_again")
    assert "1 video queued to be indexed again." in messages_of(answer)
    video.refresh_from_db()
    assert (video.status, video.attempts) == (Status.PENDING, 0)


def test_quarantine_and_release(root: Client) -> None:
    video, waiting = ready(), pending(OTHER)
    done, skipped = messages_of(act(root, "quarantine", video, waiting))
    assert done.startswith("1 video quarantined. <a href=")
    assert skipped == "1 video skipped: only ready videos can be quarantined."
    (undo,) = re.findall('href="([^"]+)"', done)
    pages.undo(root, undo)
    video.refresh_from_db()
    assert video.status == Status.READY
    act(root, "quarantine", video)
    (released,) = messages_of(press(root, video, "release_this"))
    assert released.startswith("1 video released.")
    video.refresh_from_db()
    assert video.status == Status.READY


def test_texts_are_changed(root: Client) -> None:
    video = ready(data_id="old", remark="old")
    data = {"data_id": "new", "remark": "", "meta": '{"a": 1}', "_save": "1"}
    root.post(f"{LIST}{video.pk}/change/", data)
    video.refresh_from_db()
    assert (video.data_id, video.remark, video.meta) == ("new", None, {"a": 1})

"""The admin's first page and sidebar, what libraries register, and the policy of each part."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success
from django_q.tasks import async_task

from gallery.items.models import ClipVersion, Image
from imgsmlr_site import dashboard
from tests import factories as make
from videos.models import Video

pytestmark = pytest.mark.django_db
BACKGROUND = ("schedule", "ormq")
SCHEDULE = {"func": "os.system", "args": "'id'", "schedule_type": "O", "repeats": 1}


def allow(user: User, *codenames: str) -> User:
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def failed_task(**fields: Any) -> Failure:
    now = timezone.now()
    values = {"id": "a" * 32, "name": "t", "func": "gallery.tasks.sweep", "started": now}
    return Failure.objects.create(
        **values | {"stopped": now, "success": False, "result": "ValueError: bad <b>"} | fields
    )


# --- The first page -----------------------------------------------------------------------


def test_dashboard_says_how_things_stand(superuser: User, login: Callable[..., Client]) -> None:
    image = make.add_ready_image(data=make.png(make.photo(1)))
    other = make.add_pending_image(data=make.png(make.photo(2)))
    Image.objects.filter(pk=other.pk).update(status="failed", failure="The file <ends> early.")
    OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=90))
    failed_task()
    response = login(superuser).get("/admin/")
    context = response.context
    assert context["counts"] == {"pending": 0, "ready": 1, "failed": 1, "quarantined": 0}
    assert context["total"] == 2
    assert context["storage"]["originals"] == image.bytes + other.bytes
    assert context["storage"]["database"] > 1_000_000
    queues = [(queue.name, queue.due) for queue in context["queues"]]
    assert queues == [("light", 2), ("embed", 0), ("video", 0), ("lists", 0)]
    page = response.content.decode()
    assert "The file &lt;ends&gt; early." in page and "bad &lt;b&gt;" in page
    assert "no worker takes it" in page and "No worker takes tasks of: light" in page
    assert context["match_types"]["clip"]["why"] in page
    assert f'href="/admin/gallery/image/{other.pk}/change/"' in page
    assert context["versions"]["PostgreSQL"].startswith("1")
    assert context["versions"]["pgvector"].startswith("0.")


def test_dashboard_says_which_videos_failed(superuser: User, login: Callable[..., Client]) -> None:
    facts = {"format": "mp4", "width": 640, "height": 360, "bytes": 5000, "added_by": "tests"}
    failed = Video.objects.create(md5="1" * 32, status="failed", failure="It <ends>.", **facts)
    Video.objects.create(md5="2" * 32, status="ready", original="videos/kept", **facts)
    response = login(superuser).get("/admin/")
    counts = {"pending": 0, "ready": 1, "failed": 1, "quarantined": 0}
    assert response.context["video_counts"] == counts
    assert (response.context["video_total"], response.context["storage"]["videos"]) == (2, 5000)
    page = response.content.decode()
    assert "It &lt;ends&gt;." in page
    assert f'href="/admin/videos/video/{failed.pk}/change/"' in page


def test_dashboard_says_what_earlier_versions_described(
    superuser: User, login: Callable[..., Client]
) -> None:
    client = login(superuser)
    images = [make.add_ready_image(data=make.png(make.photo(n))) for n in range(3)]
    assert "earlier version" not in client.get("/admin/").content.decode()
    Image.objects.update(pictures_version=0)
    page = client.get("/admin/").content.decode()
    assert "3 images were described by an earlier version" in page
    assert "The workers do this in the background." in page and "describe_missing" not in page
    Image.objects.filter(pk=images[0].pk).update(pictures_version=-1)
    Image.objects.filter(pk=images[1].pk).update(original="")
    page = client.get("/admin/").content.decode()
    assert "<code>manage.py describe_missing</code> has to be run for 2 of them" in page
    assert "the workers do the others in the background." in page


def test_dashboard_says_how_far_clip_is_filled(db: None) -> None:
    images = [make.add_ready_image(data=make.png(make.photo(n))) for n in range(3)]
    for name, state in (("old", "active"), ("new", "filling")):
        ClipVersion.objects.create(version=name, dimensions=2, state=state)
    for image in images[:2]:
        image.fingerprints.create(version="old", clip=[1.0, 0.0])
    images[0].fingerprints.create(version="new", clip=[1.0, 0.0])
    rows = dashboard.clip_versions({"ready": 3, "quarantined": 0})
    assert [(row["version"], row["state"], row["stored"], row["missing"]) for row in rows] == [
        ("old", "Active", 2, 1),
        ("new", "Filling", 1, 2),
    ]


def test_staff_see_what_they_may_open(staff: User, login: Callable[..., Client]) -> None:
    failed_task()
    page = login(staff).get("/admin/").content.decode()
    for link in ("gallery/image/", "auth/user/", "imgsmlr_site/apikey/", "django_q/"):
        assert f'href="/admin/{link}' not in page
    assert "Latest failed" not in page
    allow(staff, "view_image", "view_failure")
    assert 'href="/admin/gallery/image/"' not in login(staff).get("/admin/").content.decode()
    staff.groups.add(Group.objects.get(name="viewer"))
    page = login(staff).get("/admin/").content.decode()
    assert 'href="/admin/gallery/image/"' in page and "/admin/gallery/image/add/" not in page
    assert "Latest failed images" in page and "ValueError: bad" in page
    assert "django_q/schedule" not in page


@pytest.mark.parametrize(
    ("path", "active"),
    [
        ("/admin/", "Dashboard"),
        ("/admin/gallery/image/", "Images"),
        ("/admin/gallery/image/add/", "Add pictures"),
    ],
)
def test_sidebar_marks_one_page(
    superuser: User, login: Callable[..., Client], path: str, active: str
) -> None:
    groups = login(superuser).get(path).context["sidebar_navigation"]
    items = [item for group in groups for item in group["items"]]
    assert [item["title"] for item in items if item["active"]] == [active]


@pytest.mark.slow
def test_the_links_of_the_sidebar_lead_to_pages(
    superuser: User, login: Callable[..., Client]
) -> None:
    browser = login(superuser)
    groups = browser.get("/admin/").context["sidebar_navigation"]
    links = [item["link"] for group in groups for item in group["items"]]
    assert len(links) > 10
    assert {link: browser.get(link).status_code for link in links} == dict.fromkeys(links, 200)


# --- What libraries register --------------------------------------------------------------


@pytest.mark.parametrize("model", BACKGROUND)
def test_nobody_but_superusers_reaches_what_runs_code(
    staff: User, login: Callable[..., Client], model: str
) -> None:
    allow(staff, *(f"{verb}_{model}" for verb in ("view", "add", "change", "delete")))
    client, before = login(staff), Schedule.objects.count()
    row = Schedule.objects.create(func="gallery.tasks.sweep")
    async_task("gallery.tasks.sweep")
    pk = row.pk if model == "schedule" else OrmQ.objects.get().pk
    for page in ("", "add/", f"{pk}/change/", f"{pk}/delete/", f"{pk}/history/"):
        path = f"/admin/django_q/{model}/{page}"
        assert client.get(path).status_code == 403
        assert client.post(path, SCHEDULE | {"post": "yes"}).status_code == 403
    assert Schedule.objects.count() == before + 1
    assert OrmQ.objects.count() == 1


def test_superusers_schedule_and_take_out_of_the_queue(
    superuser: User, login: Callable[..., Client]
) -> None:
    client = login(superuser)
    async_task("gallery.tasks.sweep")
    queued = f"/admin/django_q/ormq/{OrmQ.objects.get().pk}/"
    assert "gallery.tasks.sweep" in client.get(f"{queued}change/").content.decode()
    assert client.post(f"{queued}change/", {"key": "x"}).status_code == 403
    assert client.get("/admin/django_q/ormq/add/").status_code == 403
    assert client.post(f"{queued}delete/", {"post": "yes"}).status_code == 302
    assert not OrmQ.objects.exists()
    assert client.get("/admin/django_q/schedule/add/").status_code == 200


@pytest.mark.parametrize(("model", "name"), [(Failure, "failure"), (Success, "success")])
def test_history_is_read_only(
    staff: User, login: Callable[..., Client], model: Any, name: str
) -> None:
    task = failed_task(success=name == "success")
    allow(staff, *(f"{verb}_{name}" for verb in ("view", "add", "change", "delete")))
    client, path = login(staff), f"/admin/django_q/{name}/"
    assert "gallery.tasks.sweep" in client.get(f"{path}{task.pk}/change/").content.decode()
    for page in ("add/", f"{task.pk}/change/", f"{task.pk}/delete/"):
        assert client.post(path + page, {"func": "os.system", "post": "yes"}).status_code == 403
    client.post(path, {"action": "resubmit_task", "_selected_action": task.pk})
    assert model.objects.get().func == "gallery.tasks.sweep"
    assert not OrmQ.objects.exists()


def test_account_managers_cannot_make_themselves_more(
    staff: User, superuser: User, login: Callable[..., Client]
) -> None:
    allow(staff, "view_user", "change_user", "add_user", "delete_user", "change_group", "add_group")
    client, boss = login(staff), f"/admin/auth/user/{superuser.pk}/"
    own = f"/admin/auth/user/{staff.pk}/change/"
    assert client.get(own).status_code == 200
    group = Group.objects.create(name="all")
    client.post(
        own, {"username": "bob", "is_active": "on", "is_superuser": "on", "groups": group.pk}
    )
    staff.refresh_from_db()
    assert not staff.is_superuser and not staff.groups.exists()
    password = superuser.password
    words = {"password1": "a-long-new-word", "password2": "a-long-new-word"}
    for page in ("password/", "change/", "delete/"):
        assert client.post(boss + page, words | {"post": "yes"}).status_code == 403
    superuser.refresh_from_db()
    assert superuser.password == password
    colleague = User.objects.create_user("cat", is_staff=True)
    member = User.objects.create_user("dan")
    for person, status in ((colleague, 403), (member, 200)):
        assert client.get(f"/admin/auth/user/{person.pk}/password/").status_code == status
    assert client.post(f"/admin/auth/group/{group.pk}/change/", {"name": "x"}).status_code == 403
    assert client.post("/admin/auth/group/add/", {"name": "x"}).status_code == 403


def test_login_is_limited(settings: Any, client: Client, db: None) -> None:
    settings.LOGIN_ATTEMPTS = 2
    for _ in range(3):
        response = client.post("/admin/login/", {"login": "root", "password": "wrong"})
    assert "Too many attempts to log in" in response.content.decode()


# --- Content-Security-Policy ---------------------------------------------------------------


def policy(response: Any) -> dict[str, str]:
    value = response.headers["Content-Security-Policy"]
    return dict(part.split(" ", 1) for part in value.split("; "))


def test_each_part_has_its_policy(superuser: User, login: Callable[..., Client]) -> None:
    client = login(superuser)
    public = policy(client.get("/imgsmlr/"))
    assert public["default-src"] == "'none'"
    assert public["script-src"] == public["style-src"] == "'self'"
    assert public["frame-ancestors"] == public["base-uri"] == "'none'"
    admin = policy(client.get("/admin/"))
    assert admin["script-src"] == "'self' 'unsafe-eval'"
    assert admin["style-src"] == "'self' 'unsafe-inline'"
    docs = policy(client.get("/api/docs/"))
    assert docs["script-src"] == "'self'"
    # No page shows what another host has under a link now.
    assert {part["img-src"] for part in (public, admin, docs)} == {"'self' data: blob:"}
    assert policy(client.get("/nowhere")) == public
    assert policy(client.get("/administrator")) == public


def test_media_keeps_its_own_policy(superuser: User, login: Callable[..., Client]) -> None:
    image = make.add_ready_image(data=make.png(make.photo(1)))
    response = login(superuser).get(f"/media/images/{image.pk}/original")
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"

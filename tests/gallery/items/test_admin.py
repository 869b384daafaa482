"""The admin of images: what each page shows, to whom, and what each action does."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from gallery.admin import export, listing
from gallery.items.item import Status
from gallery.items.models import Image, ItemBatch
from gallery.items.signals import changed
from moderation.audit.models import AuditEvent
from tests import factories as make
from tests import pages
from tests.httpserver import HttpServer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
LIST = "/admin/gallery/image/"
ADD = "/admin/gallery/image/add/"


@pytest.fixture
def root(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    """``staff("view", "change")`` → a client of a staff user with these permissions on images."""

    def make_client(*rights: str, role: str = "moderator") -> Client:
        user = User.objects.create_user("bob", is_staff=True)
        names = [f"{right}_image" for right in rights]
        user.groups.set(Group.objects.filter(name=role))
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client = Client()
        client.force_login(user)
        return client

    return make_client


@pytest.fixture
def news() -> Iterator[list[tuple[str, str, Any]]]:
    heard: list[tuple[str, str, Any]] = []

    def listen(by: str, verb: str, rows: Any, **kwargs: Any) -> None:
        heard.extend((by, verb, row.pk) for row in rows)

    changed.connect(listen, weak=False)
    yield heard
    changed.disconnect(listen)


def row(number: int, **fields: Any) -> Image:
    """A row without files."""
    digest = f"{number:032x}"
    values = {"md5": digest, "sha1": digest + "0" * 8, "sha256": digest * 2, "format": "png"}
    values |= {"width": 3, "height": 2, "bytes": 5, "added_by": "key:loader", "status": "ready"}
    return Image.objects.create(**(values | fields))


def act(client: Client, action: str, *images: Image, **data: Any) -> Any:
    """Choose, and confirm where that is asked."""
    chosen = {"_selected_action": [image.pk for image in images]}
    return pages.confirm(client, LIST, {"action": action, **chosen, **data})


def batch_page() -> str:
    """Of the latest batch."""
    return reverse("admin:gallery_image_batch", args=[ItemBatch.objects.latest("pk").pk])


def told(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def listed(client: Client, **query: Any) -> set[int]:
    response = client.get(LIST, query)
    assert response.status_code == 200
    return {image.pk for image in response.context["cl"].result_list}


# --- The list -----------------------------------------------------------------------------


def test_list_shows_what_is_known_of_an_image(root: Client) -> None:
    image = make.add_ready_image(data=make.png(make.photo(1)))
    Image.objects.filter(pk=image.pk).update(data_id="album/7", url="http://a.test/<b>.png")
    page = root.get(LIST).content.decode()
    for text in (image.md5, "album/7", "http://a.test/&lt;b&gt;.png", "ready", image.added_by):
        assert text in page
    assert reverse("gallery:thumbnail", args=[image.pk]) in page
    assert "<b>.png" not in page


def test_list_asks_no_more_for_more_images(root: Client) -> None:
    counts = []
    for numbers in (range(2), range(2, 45)):
        for number in numbers:
            row(number)
        root.get(LIST)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            root.get(LIST)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 5  # session, user, cases that wait, count, rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("term", "found"),
    [
        (f"{1:032x}", {"one"}),
        (f"{1:032X}", {"one"}),
        (f"{2:032x}" * 2, {"two"}),
        ("http://a.test/1", {"one"}),
        ("http://a.test", set()),
        ("album/", {"one", "two"}),
        ("album/2", {"two"}),
        ("bum/2", set()),
        ("%", set()),
        ("99999999999999999999999999", set()),
        ("  album/2 ", {"two"}),
        ("", {"one", "two", "three"}),
    ],
)
def test_search(root: Client, term: str, found: set[str]) -> None:
    images = {
        "one": row(1, url="http://a.test/1", data_id="album/1"),
        "two": row(2, data_id="album/2"),
        "three": row(3),
    }
    assert listed(root, q=term) == {images[name].pk for name in found}


def test_search_by_id(root: Client) -> None:
    images = [row(number) for number in range(3)]
    assert listed(root, q=str(images[1].pk)) == {images[1].pk}


def test_search_reads_indexes_and_not_the_table(db: None) -> None:
    Image.objects.bulk_create(
        Image(
            md5=f"{n:032x}", sha1="0" * 40, sha256=f"{n:064x}", data_id=f"album/{n}", format="png",
            url=f"http://a.test/{n}", width=1, height=1, bytes=1, added_by="open", status="ready",
        )
        for n in range(5_000)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE gallery_image")
    for term in (f"{7:032x}", f"{7:064x}", "http://a.test/7", "album/777", "7"):
        plan = listing.matching(Image.objects.order_by(), term).explain()
        assert "Seq Scan" not in plan, (term, plan)


@pytest.mark.slow
def test_filters(root: Client) -> None:
    old = timezone.now() - timezone.timedelta(days=8)
    ready = make.add_ready_image(data=make.png(make.photo(1)))
    jpeg = row(1, format="jpeg", status="quarantined", stale_at=timezone.now(), added_by="user:x")
    aged = row(2, created_at=old, format="gif")
    everything = {ready.pk, jpeg.pk, aged.pk}
    assert listed(root) == everything
    assert listed(root, status__exact="quarantined") == {jpeg.pk}
    assert listed(root, format=["jpeg", "gif"]) == {jpeg.pk, aged.pk}
    assert listed(root, stale="1") == {jpeg.pk}
    assert listed(root, stale="0") == {ready.pk, aged.pk}
    assert listed(root, clip="1") == set()
    assert listed(root, clip="0") == everything
    ready.fingerprints.create(version="toy", clip=[1.0, 0.0])
    assert listed(root, clip="1") == {ready.pk}
    assert listed(root, added_by="user:x") == {jpeg.pk}
    assert listed(root, added_by="user:") == set()
    assert listed(root, days="7") == {ready.pk, jpeg.pk}
    assert listed(root, days="30") == everything
    assert listed(root, days="x", stale="x", clip="x") == everything


def test_long_lists_are_estimated(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing.EstimatingPaginator, "EXACT", 10)
    for number in range(10):
        row(number)
    assert listing.EstimatingPaginator(Image.objects.all(), 5).count == 10
    for number in range(10, 30):
        row(number)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE gallery_image")
    assert listing.EstimatingPaginator(Image.objects.all(), 5).count == 30


# --- Who may see and do what --------------------------------------------------------------


def test_without_permission_there_is_nothing(staff: Callable[..., Client]) -> None:
    image, client = row(1), staff(role="")
    one = f"{LIST}{image.pk}/"
    for path in (LIST, ADD, f"{one}change/", f"{one}delete/"):
        assert client.get(path).status_code == 403
        assert client.post(path, {"post": "yes"}).status_code == 403
    assert "Latest failed images" not in client.get("/admin/").content.decode()
    assert Image.objects.get().status == "ready"


@pytest.mark.parametrize("action", ["quarantine", "release", "describe_again", "delete_selected"])
def test_viewers_change_nothing(staff: Callable[..., Client], action: str) -> None:
    images = [row(1), row(2, status="quarantined"), row(3, status="failed", failure="Bad.")]
    before = list(Image.objects.values())
    act(staff("view"), action, *images)
    assert list(Image.objects.values()) == before


def test_viewers_may_export(staff: Callable[..., Client]) -> None:
    assert act(staff("view"), "export_csv", row(1)).headers["Content-Type"].startswith("text/csv")
    event = AuditEvent.objects.latest("id")
    assert (event.actor, event.verb, event.count) == ("user:bob", "image.exported", 1)


def test_only_moderators_see_and_release_what_is_quarantined(
    staff: Callable[..., Client], root: Client
) -> None:
    image = make.add_ready_image(data=make.png(make.photo(1)))
    client = staff("view", "change", role="viewer")
    link = reverse("gallery:thumbnail", args=[image.pk])
    change = f"{LIST}{image.pk}/change/"
    assert link in client.get(LIST).content.decode()
    act(client, "quarantine", image)
    assert Image.objects.get().status == "ready"
    act(root, "quarantine", image)
    assert Image.objects.get().status == "quarantined"
    for path in (LIST, change):
        page = client.get(path).content.decode()
        assert link not in page
        assert reverse("gallery:original", args=[image.pk]) not in page
    assert client.get(link).status_code == 404
    act(client, "release", image)
    client.post(change, {"gallery_image_release_this": "1"})
    assert Image.objects.get().status == "quarantined"
    assert link in root.get(LIST).content.decode()
    assert root.get(link).status_code == 200


# --- Actions ------------------------------------------------------------------------------


def test_quarantine_and_release(root: Client, news: list[Any]) -> None:
    ready, failed = row(1), row(2, status="failed", failure="Bad.")
    response = act(root, "quarantine", ready, failed)
    assert told(response) == [
        f'1 image quarantined. <a href="{batch_page()}">See or undo it</a>',
        "1 image skipped: only ready images can be quarantined.",
    ]
    ready.refresh_from_db()
    assert ready.status == "quarantined"
    (released,) = told(act(root, "release", ready))
    assert released.startswith("1 image released.") and batch_page() in released
    ready.refresh_from_db()
    assert ready.status == "ready"
    by = "user:root"
    assert news == [(by, "quarantined", ready.pk), (by, "released", ready.pk)]


def test_describe_again_says_what_it_skips_and_why(root: Client, news: list[Any]) -> None:
    kept = row(1, status="failed", failure="Bad.", original="originals/x", attempts=3)
    lost = row(2, status="failed", failure="Bad.")
    ready = row(3)
    response = act(root, "describe_again", kept, lost, ready)
    texts = told(response)
    assert texts[0] == "1 image queued to be described again."
    assert "1 image skipped: the original was not kept" in texts[1]
    assert "1 image skipped: only failed images" in texts[2]
    kept.refresh_from_db()
    lost.refresh_from_db()
    assert (kept.status, kept.failure, kept.attempts) == ("pending", "", 0)
    assert (lost.status, lost.failure) == ("failed", "Bad.")
    assert OrmQ.objects.count() == 1
    assert news == [("user:root", "retried", kept.pk)]


def test_delete_asks_first_and_then_takes_everything(
    root: Client, news: list[Any], settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    images = [make.add_ready_image(data=make.png(make.photo(n))) for n in (1, 2)]
    kept = row(3)
    news.clear()
    chosen = {"action": "delete_selected", "_selected_action": [image.pk for image in images]}
    asked = pages.shown(root, LIST, chosen)
    page = asked.content.decode()
    assert "2 images" in page and "2 ready" in page
    assert all(reverse("gallery:thumbnail", args=[image.pk]) in page for image in images)
    assert Image.objects.count() == 3
    with django_capture_on_commit_callbacks(execute=True):
        response = pages.confirm(root, LIST, chosen, asked)
    assert told(response) == ["2 images deleted."]
    assert set(Image.objects.all()) == {kept}
    assert not make.stored_files(settings.MEDIA_ROOT)
    assert {(by, verb) for by, verb, _ in news} == {("user:root", "deleted")}


@pytest.mark.parametrize("action", ["delete_selected", "quarantine", "release", "describe_again"])
def test_what_was_not_on_the_page_is_left_alone(root: Client, action: str) -> None:
    """As many rows as were confirmed, but not the same ones: somebody added and removed some."""
    state = {"release": {"status": "quarantined"}, "describe_again": {"status": "failed"}}
    fields = {"original": "x", **state.get(action, {})}
    if action == "describe_again":
        fields["failure"] = "Bad."
    one, _ = row(1, **fields), row(2, **fields)
    chosen = {"action": action, "_selected_action": [one.pk], "select_across": "1"}
    page = pages.shown(root, LIST, chosen)
    Image.objects.filter(pk=one.pk).delete()
    unseen = row(3, **fields)
    before = list(Image.objects.order_by("pk").values())
    response = pages.confirm(root, LIST, chosen, page)
    assert "The selection has changed" in response.content.decode()
    assert 'name="select_across" value="1"' in response.content.decode()
    assert list(Image.objects.order_by("pk").values()) == before
    pages.confirm(root, LIST, chosen, response)
    after = Image.objects.filter(pk=unseen.pk).first()
    assert after is None or after.status != unseen.status


def test_a_row_that_changed_since_the_page_is_asked_about_again(root: Client) -> None:
    one = row(1)
    chosen = {"action": "delete_selected", "_selected_action": [one.pk]}
    page = pages.shown(root, LIST, chosen)
    Image.objects.update(status="failed", failure="Bad.")
    assert "has changed" in pages.confirm(root, LIST, chosen, page).content.decode()
    assert Image.objects.exists()


@pytest.mark.parametrize("token", ["1", "", "x:y:z"])
def test_a_click_without_a_page_does_nothing(root: Client, token: str) -> None:
    one = row(1)
    chosen = {"action": "delete_selected", "_selected_action": [one.pk], "reason": "x"}
    assert "has changed" in root.post(LIST, {**chosen, "confirmed": token}).content.decode()
    assert Image.objects.exists()


def test_a_page_counts_for_its_reader_and_its_action_alone(root: Client) -> None:
    one = row(1)
    chosen = {"action": "quarantine", "_selected_action": [one.pk]}
    page = pages.shown(root, LIST, chosen)
    pages.confirm(root, LIST, {**chosen, "action": "delete_selected"}, page)
    other = Client()
    other.force_login(User.objects.create_superuser("other"))
    pages.confirm(other, LIST, chosen, page)
    assert Image.objects.get().status == "ready"


@pytest.mark.parametrize("action", ["delete_selected", "quarantine", "release"])
def test_a_reason_is_asked(root: Client, action: str) -> None:
    one = row(1, status="quarantined" if action == "release" else "ready")
    before = one.status
    chosen = {"action": action, "_selected_action": [one.pk]}
    answer = pages.confirm(root, LIST, chosen, reason=" ")
    assert "This field is required" in answer.content.decode()
    assert Image.objects.get().status == before


def test_a_batch_is_undone_but_for_what_changed_since(root: Client) -> None:
    images = [row(number) for number in range(3)]
    act(root, "quarantine", *images)
    page = batch_page()
    before = root.get(page)
    assert "Undoing it would make 3 images ready again:" in before.content.decode()
    Image.objects.filter(pk=images[0].pk).update(status="ready")
    images[1].delete()
    assert "has changed" in told(pages.undo(root, page, before))[0], "it is not what was shown"
    shown = root.get(page)
    for words in ("make 1 image ready again:", "1 image left out: it is ready now",
                  "1 image left out: it was deleted since"):  # fmt: skip
        assert words in shown.content.decode()
    assert [row.pk for row in shown.context["rows"]] == [images[2].pk]
    assert "Give a reason" in told(pages.undo(root, page, reason=" "))[0]
    for token in ("", "x:y:z"):
        fields = {"reason": "x", "confirmed": token}
        assert "has changed" in told(root.post(page, fields, follow=True))[0]
    assert Image.objects.get(pk=images[2].pk).status == "quarantined", "looking changes nothing"
    assert told(pages.undo(root, page, shown, reason="a slip")) == [
        f"Batch {ItemBatch.objects.get().pk} undone: 1 image.",
        "1 image not changed: it is ready now.",
        "1 image not changed: it was deleted since.",
    ]
    assert set(Image.objects.values_list("status", flat=True)) == {"ready"}
    assert "was undone already" in told(pages.undo(root, page, shown))[0]
    assert not root.get(page).context["token"]


@pytest.mark.django_db(transaction=True)
def test_two_people_undo_the_same_batch_at_once(root: Client) -> None:
    images = [row(number) for number in range(2)]
    act(root, "quarantine", *images)
    page, other = batch_page(), Client()
    other.force_login(User.objects.create_superuser("other"))
    asked = [(client, client.get(page)) for client in (root, other)]
    barrier, answers = threading.Barrier(2), []

    def click(client: Client, shown: Any) -> None:
        try:
            barrier.wait()
            answers.append(pages.undo(client, page, shown).content.decode())
        finally:
            connection.close()

    threads = [threading.Thread(target=click, args=one) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pk = ItemBatch.objects.get().pk
    for words in (f"Batch {pk} undone: 2 images.", f"Batch {pk} was undone already."):
        assert [words in answer for answer in answers].count(True) == 1
    undone = AuditEvent.objects.filter(reason__contains="undone")
    assert undone.count() == 1 and undone.get().count == 2


def test_only_who_may_release_undoes_a_quarantine(
    root: Client, staff: Callable[..., Client]
) -> None:
    act(root, "quarantine", row(1))
    bob, page = staff("view", "change", role="viewer"), batch_page()
    assert not bob.get(page).context["token"]
    assert bob.post(page, {"reason": "x"}).status_code == 403
    assert Image.objects.get().status == "quarantined"


def test_delete_of_all_keeps_to_the_filter(root: Client) -> None:
    row(1, added_by="user:x")
    other = row(2)
    data = {"action": "delete_selected", "_selected_action": other.pk, "select_across": "1"}
    pages.confirm(root, f"{LIST}?added_by=user:x", data)
    assert set(Image.objects.all()) == {other}


def test_csv_holds_every_column_and_no_formula(root: Client) -> None:
    one = row(1, data_id="=1+1", remark='say "hi", ü', meta={"a": 1}, url="http://a.test/1")
    two = row(2, data_id="@x", remark="-2", uploader="\tx", status="failed", failure="+1")
    response = act(root, "export_csv", one, two)
    assert response.headers["Content-Disposition"].startswith('attachment; filename="images-')
    text = b"".join(response.streaming_content).decode()
    first, second = sorted(csv.DictReader(io.StringIO(text)), key=lambda line: line["id"])
    assert tuple(first) == export.COLUMNS
    assert first["id"] == str(one.pk) and first["md5"] == one.md5
    assert first["data_id"] == "'=1+1" and first["remark"] == 'say "hi", ü'
    assert json.loads(first["meta"]) == {"a": 1}
    assert first["created_at"] == one.created_at.isoformat()
    assert (second["data_id"], second["remark"]) == ("'@x", "'-2")
    assert (second["uploader"], second["failure"], second["url"]) == ("'\tx", "'+1", "")


# --- One image ----------------------------------------------------------------------------


def test_one_image(root: Client) -> None:
    image = make.add_ready_image(data=make.png(make.photo(1)))
    page = root.get(f"{LIST}{image.pk}/change/").content.decode()
    for text in (image.md5, image.sha1, image.sha256, "pixels-1", "quality"):
        assert text in page
    assert f'href="/imgsmlr/?id={image.pk}"' in page
    assert f'src="{reverse("gallery:original", args=[image.pk])}"' in page
    for name in ("md5", "status", "url", "original", "added_by"):
        assert f'name="{name}"' not in page


def test_failed_image_says_why(root: Client) -> None:
    image = row(1, status="failed", failure="The file ends early.", attempts=2)
    page = root.get(f"{LIST}{image.pk}/change/").content.decode()
    assert "The file ends early." in page and "2 attempts" in page
    assert "Search with this one" not in page and "<img" not in page.partition("image-facts")[2]


@pytest.mark.parametrize("path", ["x", "0", "99999999999999999999999"])
def test_no_such_image(root: Client, path: str) -> None:
    response = root.get(f"{LIST}{path}/change/", follow=True)
    assert response.redirect_chain[-1][0] == "/admin/"


def test_only_texts_can_be_changed(root: Client, news: list[Any]) -> None:
    image = row(1, remark="old", meta={"a": 1})
    change = f"{LIST}{image.pk}/change/"
    data = {"data_id": "new", "remark": "", "meta": '{"b": 2}', "md5": "0" * 32, "status": "failed"}
    assert root.post(change, data).status_code == 302
    image.refresh_from_db()
    assert (image.data_id, image.remark, image.meta) == ("new", None, {"b": 2})
    assert (image.md5, image.status) == (f"{1:032x}", "ready")
    assert news == [("user:root", "updated", image.pk)]


def test_saving_nothing_changes_nothing(root: Client, news: list[Any]) -> None:
    image = row(1, remark="", data_id="", meta=None)
    root.post(f"{LIST}{image.pk}/change/", {"data_id": "", "remark": "", "meta": ""})
    image.refresh_from_db()
    assert (image.data_id, image.remark, image.meta) == ("", "", None)
    assert not news


@pytest.mark.parametrize("meta", ["[1]", "3", '"x"', "{", '{"a": "\\u0000"}', '{"\\u0000": 1}'])
def test_bad_meta_is_refused(root: Client, meta: str) -> None:
    image = row(1, meta={"a": 1})
    response = root.post(f"{LIST}{image.pk}/change/", {"meta": meta})
    assert response.status_code == 200
    assert response.context["adminform"].form.errors["meta"]
    image.refresh_from_db()
    assert image.meta == {"a": 1}


def test_buttons_fit_the_status(root: Client) -> None:
    image = row(1)
    change = f"{LIST}{image.pk}/change/"
    steps = (("quarantine", "quarantined", "release"), ("release", "ready", "quarantine"))
    for press, status, other in steps:
        page = root.get(change).content.decode()
        assert f"gallery_image_{press}_this" in page
        assert f"gallery_image_{other}_this" not in page
        asked = root.post(change, {f"gallery_image_{press}_this": "1"})
        assert Image.objects.get().status != status
        chosen = {"action": press, "_selected_action": [image.pk], "return_to": change}
        done = pages.confirm(root, asked.context["post_to"], chosen, asked)
        assert done.redirect_chain[-1][0] == change
        assert Image.objects.get().status == status


def test_delete_from_its_own_page(root: Client, news: list[Any]) -> None:
    image = row(1)
    delete = f"{LIST}{image.pk}/delete/"
    page = root.get(delete)
    assert root.post(delete, {"post": "yes"}).status_code == 200
    assert Image.objects.exists()
    pages.confirm(root, LIST, {"action": "delete_selected", "_selected_action": [image.pk]}, page)
    assert not Image.objects.exists()
    assert news == [("user:root", "deleted", image.pk)]


# --- Adding -------------------------------------------------------------------------------


def test_each_picture_has_its_own_outcome(root: Client, open_api: None, settings: Any) -> None:
    here = make.add_ready_image(data=make.png(make.photo(1)))
    files = [
        SimpleUploadedFile("new.png", make.png(make.photo(2))),
        SimpleUploadedFile("known.png", make.png(make.photo(1))),
        SimpleUploadedFile("text.jpg", b"no picture at all"),
    ]
    with HttpServer({"/c.jpg": make.jpeg(make.photo(3))}) as web:
        urls = f"{web.url}/c.jpg\n\n {web.url}/missing.jpg \nftp://a.test/x"
        data = {"files": files, "urls": urls, "remark": "spring"}
        response = root.post(ADD, data)
    results = response.context["results"]
    new, known, text, fetched, missing, ftp = results
    assert new.name == "new.png" and not new.problem
    assert (known.item_id, bool(known.problem)) == (here.pk, True)
    assert text.item_id is None and "not a picture" in text.problem
    assert not fetched.problem and "404" in missing.problem and ftp.problem
    added = Image.objects.exclude(pk=here.pk).order_by("pk")
    assert {image.pk for image in added} == {new.item_id, fetched.item_id}
    assert set(added.values_list("added_by", "remark", "status")) == {
        ("user:root", "spring", "pending")
    }
    page = response.content.decode()
    assert all(f"{LIST}{image.pk}/change/" in page for image in (here, *added))


def test_too_large_files_are_not_read(root: Client, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 10
    response = root.post(ADD, {"files": [SimpleUploadedFile("a.png", b"x" * 11)]})
    assert "at most 10 are taken" in response.context["results"][0].problem


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, "Choose a file or give a link."),
        ({"urls": "http://a.test/\n" * 101}, "at most 100 at once"),
        ({"urls": "http://a.test/" + "x" * 2048}, "at most 2048 characters"),
        ({"urls": "http://a.test/\0"}, "Null characters are not allowed"),
    ],
)
def test_bad_forms_add_nothing(root: Client, data: dict[str, str], text: str) -> None:
    response = root.post(ADD, data)
    assert response.status_code == 200
    assert text in response.content.decode()
    assert not Image.objects.exists()


def test_adding_needs_the_permission(staff: Callable[..., Client]) -> None:
    client = staff("view", "change", "delete")
    assert client.post(ADD, {"urls": "http://a.test/"}).status_code == 403


def test_statuses_have_badges_and_icons() -> None:
    from gallery.admin.item_admin import BADGES
    from gallery.templatetags.item_pictures import item_picture

    assert set(BADGES) == set(Status)
    icons = {item_picture(row(number, status=status, failure="x" * (status == "failed")))["icon"]
             for number, status in enumerate(Status)}  # fmt: skip
    assert len(icons) == len(Status)


@pytest.mark.parametrize(
    ("path", "action"),
    [(LIST, "quarantine"), ("/admin/moderation/banneditem/", "retire"),
     ("/admin/auth/user/", "delete_selected")],
)  # fmt: skip
def test_a_selection_that_is_no_id_is_a_400(root: Client, path: str, action: str) -> None:
    assert root.post(path, {"action": action, "_selected_action": "abc"}).status_code == 400

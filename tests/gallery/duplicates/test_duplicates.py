"""Duplicates: what is found, what clusters become of it, and what is decided about them."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg2
import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from PIL import Image as Pillow
from PIL import ImageOps

from gallery.duplicates import clusters, scan
from gallery.duplicates.decisions import delete_copies, mark_not_duplicates, merge_copies
from gallery.imaging import descriptors
from gallery.items import changing
from gallery.items.models import (
    DuplicatePair,
    DuplicateRun,
    DuplicateScan,
    Image,
    NotDuplicate,
)
from gallery.items.signals import changed
from gallery.shared.errors import Conflict
from gallery.shared.locking import Lock
from tests import factories as make

ROOT = Path(__file__).parents[3]
PAGE = "/admin/gallery/duplicatepair/"
real_processes = pytest.mark.django_db(transaction=True)
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]


@pytest.fixture
def news() -> Iterator[list[tuple[str, str, int]]]:
    heard: list[tuple[str, str, int]] = []

    def listen(by: str, verb: str, rows: Any, **kwargs: Any) -> None:
        heard.extend((by, verb, row.pk) for row in rows)

    changed.connect(listen, weak=False)
    yield heard
    changed.disconnect(listen)


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    """``staff("view", "change")`` → a client of a staff user with these permissions on images."""

    def make_client(*rights: str) -> Client:
        user = User.objects.create_user("bob", is_staff=True)
        names = [f"{right}_image" for right in rights]
        role = Group.objects.get(name="moderator")
        role.permissions.clear()  # those of ``rights`` alone are tried
        user.groups.add(role)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client = Client()
        client.force_login(user)
        return client

    return make_client


@pytest.fixture
def root(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def described(image: Pillow.Image, **fields: Any) -> Image:
    """A picture that went through every descriptor that finds copies."""
    return make.add_ready_image(
        data=make.jpeg(image), inline=(*descriptors.PIXELS, "copy"), **fields
    )


def photo(seed: int = 1) -> Pillow.Image:
    return make.photo(seed, (400, 300))


def row(number: int = 0, **fields: Any) -> Image:
    """An image without files or vectors."""
    digest = f"{number or Image.objects.count() + 1:032x}"
    values = {"md5": digest, "sha1": digest + "0" * 8, "sha256": digest * 2, "format": "jpeg"}
    values |= {"width": 400, "height": 300, "bytes": 5000, "added_by": "key:loader"}
    return Image.objects.create(**(values | {"status": "ready"} | fields))


def link(one: Image, other: Image, confidence: float = 0.99, **found: Any) -> DuplicatePair:
    """A pair; what is said in ``found`` of a and b is said of ``one`` and ``other``."""
    assert one.pk < other.pk
    return DuplicatePair.objects.create(a=one, b=other, confidence=confidence, **found)


def same(**found: Any) -> dict[str, Any]:
    """What geometry says of two pictures of the same view."""
    plain = {"shared_a": 1.0, "shared_b": 1.0, "scale": 1.0, "rotation": 0.0, "mirrored": False}
    return plain | found


def find(**options: Any) -> None:
    call_command("find_duplicates", workers=1, **options)


def only_cluster() -> clusters.Cluster:
    (cluster,) = clusters.all_clusters()
    return cluster


def ids(cluster: clusters.Cluster) -> list[int]:
    return [member.image.pk for member in cluster.members]


# --- Looking for duplicates ---------------------------------------------------------------


@pytest.mark.slow
@real_processes
def test_command_finds_copies_and_later_looks_up_new_images_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = described(photo().resize((200, 150)))
    original = described(photo(), data_id="original")
    cropped = described(photo().crop((60, 40, 340, 260)))
    others = [described(photo(seed)) for seed in range(2, 5)]
    target = tmp_path / "clusters.csv"
    find(csv=target, min_confidence=0.5)
    assert "6 images compared. 1 clusters of 3 images" in capsys.readouterr().out
    with target.open(newline="") as stream:
        (written,) = csv.DictReader(stream)
    assert written["id"] == str(small.pk)
    assert written["keep"] == written["members"].split()[0] == str(original.pk)
    assert set(written["members"].split()[1:]) == {str(small.pk), str(cropped.pk)}
    assert 0.5 <= float(written["confidence"]) <= 1.0
    run = DuplicateRun.objects.get()
    assert run.finished_at is not None

    framed = described(ImageOps.expand(photo(), 40, "black"))
    find()
    assert "1 images compared. 1 clusters of 4 images" in capsys.readouterr().out
    assert framed.pk in ids(only_cluster())
    assert not DuplicatePair.objects.filter(a__in=others).exists()
    find(restart=True, min_confidence=0.5)
    assert "7 images compared. 1 clusters of 4 images" in capsys.readouterr().out
    assert DuplicateRun.objects.get().pk != run.pk


@pytest.mark.slow
@real_processes
def test_a_run_that_was_broken_off_goes_on_where_it_was() -> None:
    images = [described(make.photo(seed)) for seed in range(scan.IMAGES_PER_BATCH + 2)]
    run = scan.start_run(min_confidence=None, restart=False)
    batches = scan.scan_images(run, [image.pk for image in images], workers=1)
    first = next(batches)
    batches.close()
    assert [result.image_id for result in first] == [i.pk for i in images[:-2]]
    assert list(scan.unscanned_images()) == images[-2:]
    assert scan.start_run(min_confidence=None, restart=False) == run
    assert DuplicateRun.objects.get().finished_at is None


@pytest.mark.slow
@real_processes
def test_a_killed_run_leaves_no_process_and_no_lock(
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = [described(make.photo(seed)) for seed in range(2 * scan.IMAGES_PER_BATCH)]
    database = connection.settings_dict
    where = f"host={database['HOST']}&port={database['PORT']}"
    url = f"postgres://{database['USER']}@/{database['NAME']}?{where}"
    command = subprocess.Popen(
        [sys.executable, "manage.py", "find_duplicates", "--workers", "1"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: DuplicateScan.objects.exists() or command.poll() is not None)
    children = children_of(command.pid)
    command.kill()
    command.wait()
    assert children
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    wait_until(lambda: not Path(f"/proc/{command.pid}").exists())
    assert DuplicateScan.objects.exists()
    find()
    assert DuplicateScan.objects.count() == len(images)


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


@pytest.mark.slow
@real_processes
def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    described(photo())
    before = children_of(os.getpid())

    def interrupt() -> None:
        wait_until(lambda: children_of(os.getpid()) != before)
        time.sleep(0.2)  # until it is started; what it has to import takes much longer
        os.kill(os.getpid(), signal.SIGINT)

    thread = Thread(target=interrupt)
    thread.start()
    with pytest.raises(SystemExit) as end:
        find()
    thread.join()
    assert end.value.code == 130
    assert "Run the same command again" in capsys.readouterr().err
    assert scan.unscanned_images().count() == 1


def test_two_searches_at_once_are_refused() -> None:
    database = connection.settings_dict
    other = psycopg2.connect(
        dbname=database["NAME"],
        user=database["USER"],
        host=database["HOST"],
        port=database["PORT"],
    )
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [Lock.DUPLICATES])
    with pytest.raises(CommandError, match="Another search for duplicates is running"):
        find()
    other.close()


@pytest.mark.parametrize("least", [0.0, -1.0, 1.1, float("nan")])
def test_a_confidence_is_a_probability(least: float) -> None:
    with pytest.raises(CommandError, match="above 0 and at most 1"):
        find(min_confidence=least)
    assert not DuplicateRun.objects.exists()


def test_no_workers_are_refused() -> None:
    with pytest.raises(CommandError, match="at least 1"):
        call_command("find_duplicates", workers=0)


def test_other_rules_need_a_restart_which_keeps_decisions() -> None:
    one, other = row(), row()
    link(one, other)
    mark_not_duplicates(keep=one.pk, copies=[other.pk], by="t")
    DuplicateScan.objects.create(image=one, content=1.0)
    run = scan.start_run(min_confidence=0.9, restart=False)
    with pytest.raises(Conflict, match=r"--min-confidence 0\.9\. Run it with --restart"):
        scan.start_run(min_confidence=0.8, restart=False)
    assert scan.start_run(min_confidence=None, restart=False).min_confidence == 0.9
    DuplicateRun.objects.filter(pk=run.pk).update(rules="copy-0")
    with pytest.raises(Conflict, match="another version"):
        scan.start_run(min_confidence=None, restart=False)
    assert DuplicatePair.objects.count() == DuplicateScan.objects.count() == 1
    assert scan.start_run(min_confidence=0.8, restart=True).min_confidence == 0.8
    assert DuplicatePair.objects.count() == DuplicateScan.objects.count() == 0
    assert NotDuplicate.objects.count() == 2


def test_only_described_and_ready_images_are_looked_up() -> None:
    image = described(photo())
    make.add_ready_image(make.photo(2))
    make.add_pending_image(make.photo(3))
    assert list(scan.unscanned_images()) == [image]
    assert scan.undescribed() == 1


def test_an_image_that_was_quarantined_is_looked_up_again() -> None:
    image = described(photo())
    everyone = Image.objects.all()
    scan.start_run(min_confidence=None, restart=False)
    DuplicateScan.objects.create(image=image, content=1.0)
    changing.quarantine_items(items=everyone, by="t")
    assert scan.look_up([image.pk], 0.5) == []
    scan.start_run(min_confidence=None, restart=False)
    changing.release_items(items=everyone, by="t")
    assert list(scan.unscanned_images()) == [image]


def test_whichever_asks_says_the_same_of_a_pair() -> None:
    original = described(photo())
    crop = described(photo().crop((80, 60, 320, 240)).resize((480, 360)))
    for asking in (original, crop):
        (result,) = scan.look_up([asking.pk], 0.5)
        (pair,) = result.pairs
        assert (pair["a_id"], pair["b_id"]) == (original.pk, crop.pk)
        assert pair["shared_a"] == pytest.approx(0.36, abs=0.02)
        assert pair["shared_b"] == pytest.approx(1.0, abs=0.02)
        assert pair["scale"] == pytest.approx(2.0, abs=0.05)
        assert pair["rotation"] == pytest.approx(0.0, abs=1.0)
        assert pair["mirrored"] is False


@pytest.mark.parametrize("mirror", [False, True])
def test_a_turn_is_told_from_the_older_to_the_newer(mirror: bool) -> None:
    original = described(photo())
    turned = photo().rotate(-20, expand=True)
    newer = described(ImageOps.mirror(turned) if mirror else turned)
    for asking in (original, newer):
        (result,) = scan.look_up([asking.pk], 0.01)
        (pair,) = result.pairs
        assert pair["rotation"] == pytest.approx(20.0, abs=1.0)
        assert pair["mirrored"] is mirror


def test_content_is_what_lies_within_plain_margins() -> None:
    plain = described(photo())
    framed = described(ImageOps.expand(photo(), 100, "white"))
    contents = [result.content for result in scan.look_up([plain.pk, framed.pk], 0.5)]
    assert contents == [1.0, pytest.approx(0.4, abs=0.03)]


# --- Clusters -----------------------------------------------------------------------------


def test_best_first_then_the_certain_then_those_that_are_not_linked_to_it() -> None:
    chained, certain, doubtful, best = row(), row(), row(), row(width=4000, height=3000)
    link(chained, certain, 0.7)
    link(certain, best, 0.99)
    link(doubtful, best, 0.8)
    cluster = only_cluster()
    assert ids(cluster) == [best.pk, certain.pk, doubtful.pk, chained.pk]
    assert [member.chained for member in cluster.members] == [False, False, False, True]
    last = cluster.members[-1].link
    assert last is not None and (last.other, last.confidence) == (certain.pk, 0.7)
    assert cluster.confidence == 0.7
    assert cluster.id == chained.pk


def test_confidence_is_that_of_the_weakest_link_it_hangs_by() -> None:
    one, two, three = row(), row(), row()
    link(one, two, 0.9)
    link(two, three, 0.8)
    link(one, three, 0.6)
    assert only_cluster().confidence == 0.8


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ({"width": 800, "height": 600}, {"bytes": 9999}, same(scale=0.5)),
        ({"bytes": 9999}, {}, same()),
        ({}, {"created_at": timezone.now() + timedelta(days=1)}, same()),
        # A crop that was enlarged to more pixels than the picture it shows a part of.
        ({}, {"width": 480, "height": 360}, same(shared_a=0.64, scale=1.5)),
        # A collage shows more, but smaller.
        ({}, {"width": 800, "height": 300}, same(shared_b=0.25, scale=0.5)),
        ({}, {"width": 480, "height": 380, "content": 0.66}, same(shared_b=0.66)),
        ({}, {"width": 200, "height": 150, "content": 0.66}, same(shared_b=0.66, scale=0.4)),
        # Nothing found by geometry.
        ({"width": 800, "height": 600}, {}, {}),
    ],
    ids=["pixels", "bytes", "age", "crop", "collage", "border", "small border", "unproved"],
)
def test_the_best_of_two(first: dict[str, Any], second: dict[str, Any], found: Any) -> None:
    content = second.pop("content", 1.0)
    one, other = row(**first), row(**second)
    DuplicateScan.objects.create(image=other, content=content)
    link(one, other, **found)
    assert only_cluster().best.image == one


def test_the_best_may_be_the_newer_of_two() -> None:
    crop, complete = row(width=480, height=360), row()
    link(crop, complete, **same(shared_b=0.64, scale=1 / 1.5))
    cluster = only_cluster()
    assert cluster.best.image == complete
    shown = cluster.members[1].link
    assert shown is not None and shown.scale is not None
    assert (shown.shared, shown.own) == (0.64, 1.0)
    assert shown.scale == pytest.approx(1.5)


@pytest.mark.parametrize("state", ["quarantined", "pending", "gone"])
def test_images_that_are_not_ready_neither_appear_nor_connect(state: str) -> None:
    one, bridge, other, third = row(), row(), row(), row()
    link(one, bridge)
    link(bridge, other)
    link(other, third)
    if state == "gone":
        changing.delete_items(items=Image.objects.filter(pk=bridge.pk), by="t")
    else:
        Image.objects.filter(pk=bridge.pk).update(status=state)
    assert sorted(ids(only_cluster())) == [other.pk, third.pk]
    assert clusters.members_with(one.pk) == {one.pk}


def test_order_of_clusters() -> None:
    images = [row() for _ in range(5)]
    link(images[0], images[1], 0.99)
    link(images[2], images[3], 0.9)
    link(images[3], images[4], 0.8)
    assert [len(group.ids) for group in clusters.find_groups()] == [2, 3]
    assert [len(group.ids) for group in clusters.find_groups(largest_first=True)] == [3, 2]


def test_a_long_chain_is_one_cluster() -> None:
    images = [row() for _ in range(60)]
    for one, other in pairwise(images):
        link(one, other)
    everyone = [image.pk for image in images]
    (group,) = clusters.find_groups()
    assert list(group.ids) == everyone
    assert clusters.members_with(everyone[30]) == set(everyone)


# --- Decisions ----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_deleting_copies_takes_files_and_tells(
    news: list[tuple[str, str, int]], settings: Any
) -> None:
    kept, copy = (make.add_ready_image(make.photo(n)) for n in range(2))
    spared = row()
    link(kept, copy)
    link(kept, spared)
    news.clear()
    assert delete_copies(keep=kept.pk, copies=[copy.pk], by="user:ann") == 1
    assert set(Image.objects.all()) == {kept, spared}
    assert make.stored_files(settings.MEDIA_ROOT) == make.owned_files(kept)
    assert news == [("user:ann", "deleted", copy.pk)]
    assert set(ids(only_cluster())) == {kept.pk, spared.pk}


def test_merging_keeps_what_was_known(news: list[tuple[str, str, int]]) -> None:
    kept = row(meta={"album": 1, "merged": [{"id": 5}]})
    first = row(data_id="x", url="http://a.test/1", remark="", meta={"tag": "t"})
    second = row(meta={"merged": [{"id": 7}]})
    link(kept, first)
    link(kept, second)
    assert merge_copies(keep=kept.pk, copies=[second.pk, first.pk], by="user:ann") == 2
    nothing = {"data_id": None, "url": None, "remark": None}
    merged = [
        {"id": 5},
        {
            "id": first.pk,
            "data_id": "x",
            "url": "http://a.test/1",
            "remark": "",
            "meta": {"tag": "t"},
            "md5": first.md5,
        },
        {"id": second.pk, **nothing, "meta": {}, "md5": second.md5},
        {"id": 7},
    ]
    assert Image.objects.get().meta == {"album": 1, "merged": merged}
    assert sorted(verb for _, verb, _ in news) == ["deleted", "deleted", "updated"]


def test_merging_refuses_to_overwrite_a_clients_own_key() -> None:
    kept, copy = row(meta={"merged": "yes"}), row()
    link(kept, copy)
    with pytest.raises(Conflict, match="rename that first"):
        merge_copies(keep=kept.pk, copies=[copy.pk], by="t")
    assert Image.objects.count() == 2


def test_told_apart_stays_apart_when_found_again(news: list[tuple[str, str, int]]) -> None:
    one, two, three = row(), row(), row()
    link(one, two)
    link(two, three)
    assert mark_not_duplicates(keep=two.pk, copies=[one.pk, three.pk], by="user:ann") == 2
    assert clusters.find_groups() == []
    scan.start_run(min_confidence=None, restart=True)
    link(one, two)
    link(one, three)  # was not linked when it was decided
    assert clusters.find_groups() == []
    assert news == [("user:ann", "told apart", pk) for pk in (one.pk, three.pk)]
    newer = row()
    link(two, newer)
    assert ids(only_cluster()) == [two.pk, newer.pk]


def test_telling_one_apart_leaves_the_others_together() -> None:
    kept, copy, stranger = row(), row(), row()
    link(kept, copy)
    link(copy, stranger)
    link(kept, stranger)
    mark_not_duplicates(keep=kept.pk, copies=[stranger.pk], by="t")
    assert ids(only_cluster()) == [kept.pk, copy.pk]


@pytest.mark.parametrize("decide", [delete_copies, merge_copies, mark_not_duplicates])
@pytest.mark.parametrize("change", ["kept gone", "copy gone", "quarantined", "apart", "stranger"])
def test_a_cluster_that_has_changed_is_left_alone(decide: Callable[..., int], change: str) -> None:
    kept, copy, third, stranger = row(), row(), row(), row()
    link(kept, copy)
    link(kept, third)
    copies = [copy.pk, third.pk]
    if change == "kept gone":
        kept.delete()
    elif change == "copy gone":
        copy.delete()
    elif change == "quarantined":
        Image.objects.filter(pk=copy.pk).update(status="quarantined")
    elif change == "apart":
        mark_not_duplicates(keep=kept.pk, copies=[copy.pk], by="t")
    else:
        copies.append(stranger.pk)
    before = Image.objects.count(), NotDuplicate.objects.count()
    with pytest.raises(Conflict, match="has changed meanwhile"):
        decide(keep=kept.pk or copies[0] - 1, copies=copies, by="t")
    assert (Image.objects.count(), NotDuplicate.objects.count()) == before


def test_the_kept_one_alone_is_no_decision() -> None:
    kept, copy = row(), row()
    link(kept, copy)
    with pytest.raises(Conflict, match="Nothing is chosen"):
        delete_copies(keep=kept.pk, copies=[kept.pk], by="t")


# --- The page -----------------------------------------------------------------------------


def choose(client: Client, action: str, *choices: tuple[Image, list[Image]], **data: Any) -> Any:
    """Post a decision: for each cluster which one is kept, and the ticked ones."""
    form: dict[str, Any] = {"action": action, "cluster": [], **data}
    for keep, copies in choices:
        cluster = min(clusters.members_with(keep.pk))
        form["cluster"].append(cluster)
        form[f"keep-{cluster}"] = keep.pk
        form[f"copy-{cluster}"] = [copy.pk for copy in copies]
    return client.post(PAGE, form, follow=True)


def told(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_an_empty_page_says_what_to_do(root: Client) -> None:
    assert "No search for duplicates has run yet" in root.get(PAGE).content.decode()
    image = described(photo())
    scan.start_run(min_confidence=None, restart=False)
    page = root.get(PAGE).content.decode()
    assert "No duplicates" in page
    assert "1 image not compared yet" in page
    DuplicateScan.objects.create(image=image, content=1.0)
    assert "not compared yet" not in root.get(PAGE).content.decode()


def test_page_shows_what_is_known(root: Client) -> None:
    best = row(width=1000, height=750, data_id="a<b>", url="http://a.test/1.jpg")
    crop, mirrored, bordered, alike, chained = (row() for _ in range(5))
    link(best, crop, **same(shared_a=0.36))
    link(best, mirrored, **same(mirrored=True, rotation=90.0, scale=0.4))
    link(best, bordered, **same(shared_b=0.5))
    link(best, alike)
    link(alike, chained, 0.812)
    DuplicateScan.objects.create(image=bordered, content=0.5)
    page = root.get(PAGE).content.decode()
    for text in (
        "6 images, confidence 0.812",
        "best original",
        "a&lt;b&gt;",
        "http://a.test/1.jpg",
        "1000 × 750",
        "crop: 36% of it",
        "mirrored, turned 90°, at 40% of its size",
        "a plain border: it fills 50%",
        "alike as a whole",
        f"not linked to the image to keep, but to image {alike.pk} (0.812)",
    ):
        assert text in page, text


def test_who_may_see_and_decide(staff: Callable[..., Client]) -> None:
    kept, copy = row(), row()
    link(kept, copy)
    assert Client().get(PAGE).status_code == 302
    client = staff("view")
    page = client.get(PAGE)
    assert page.status_code == 200
    assert 'name="action"' not in page.content.decode()
    for action in ("merge", "delete", "apart", "burn"):
        assert choose(client, action, (kept, [copy]), confirmed="1").status_code == 403
    User.objects.update(username="was-bob")
    client = staff("view", "change")
    assert choose(client, "apart", (kept, [copy])).status_code == 200
    for action in ("merge", "delete"):
        assert choose(client, action, (kept, [copy]), confirmed="1").status_code == 403
    User.objects.filter(username="bob").update(username="was-bob-too")
    assert staff("delete").get(PAGE).status_code == 403
    assert Image.objects.count() == 2


def test_nothing_happens_before_it_is_confirmed(root: Client) -> None:
    kept, copy, spared = row(), row(), row()
    link(kept, copy)
    link(kept, spared)
    response = choose(root, "delete", (kept, [kept, copy]))
    page = response.content.decode()
    assert "1 image of 1 cluster" in page
    assert f"image {kept.pk} stays" in page
    assert f'value="{spared.pk}"' not in page
    assert Image.objects.count() == 3
    response = choose(root, "delete", (kept, [copy]), confirmed="1", reason="copies")
    assert told(response) == ["1 image of 1 cluster deleted."]
    assert set(Image.objects.all()) == {kept, spared}


def test_another_one_may_be_kept(root: Client) -> None:
    suggested, other, chained = row(width=9000), row(), row()
    link(suggested, other)
    link(suggested, chained)
    page = choose(root, "merge", (other, [suggested, chained])).content.decode()
    assert f"image {other.pk} stays" in page
    assert "not linked to the image that stays" in page
    choose(root, "merge", (other, [suggested, chained]), confirmed="1", reason="copies")
    kept = Image.objects.get()
    assert kept == other
    assert [entry["id"] for entry in kept.meta["merged"]] == [suggested.pk, chained.pk]


def test_one_changed_cluster_stops_no_other(root: Client) -> None:
    images = [row() for _ in range(4)]
    link(images[0], images[1])
    link(images[2], images[3])
    choices = ((images[0], [images[1]]), (images[2], [images[3]]))
    Image.objects.filter(pk=images[1].pk).update(status="quarantined")
    response = choose(root, "delete", *choices)
    assert "1 image of 1 cluster" in response.content.decode()
    left = f"1 image left out, withheld (image {images[1].pk}: it is quarantined)."
    assert told(response) == [left]
    response = choose(root, "delete", *choices, confirmed="1", reason="copies")
    assert told(response) == [
        f"The cluster of image {images[0].pk} has changed meanwhile: look at it again.",
        "1 image of 1 cluster deleted.",
    ]
    assert not Image.objects.filter(pk=images[3].pk).exists()


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"cluster": "x"},
        {"cluster": "1"},
        {"cluster": "1", "keep-1": "1"},
        {"cluster": "1", "keep-1": "1", "copy-1": "1"},
        {"cluster": "1", "keep-1": "9" * 40, "copy-1": "²"},
    ],
)
def test_a_form_without_a_choice_does_nothing(root: Client, form: dict[str, str]) -> None:
    kept, copy = row(), row()
    link(kept, copy)
    response = root.post(PAGE, {"action": "delete", "confirmed": "1", **form}, follow=True)
    assert told(response) == ["Nothing done: choose clusters, and copies in them, first."]
    assert Image.objects.count() == 2


def test_a_thousand_clusters_are_paged(root: Client) -> None:
    rows = Image.objects.bulk_create([unsaved(number) for number in range(2000)])
    DuplicatePair.objects.bulk_create(
        DuplicatePair(a=one, b=other, confidence=0.9)
        for one, other in zip(rows[::2], rows[1::2], strict=True)
    )
    root.get(PAGE)  # the session notes once in a while that it is used
    with CaptureQueriesContext(connection) as queries:
        page = root.get(PAGE, {"p": "2"})
    assert len(queries) <= 9  # one counts the cases that wait, for the sidebar
    assert page.content.decode().count('name="cluster"') == 25
    assert 'aria-current="page">2<' in page.content.decode()
    assert root.get(PAGE, {"p": "x", "sort": "y"}).status_code == 200


def unsaved(number: int) -> Image:
    digest = f"{number:032x}"
    return Image(
        md5=digest,
        sha1=digest + "0" * 8,
        sha256=digest * 2,
        format="png",
        width=3,
        height=2,
        bytes=5,
        added_by="t",
        status="ready",
    )


def test_a_large_cluster_is_shown_in_parts(root: Client) -> None:
    best, *others = Image.objects.bulk_create([unsaved(number) for number in range(40)])
    DuplicatePair.objects.bulk_create(
        DuplicatePair(a=best, b=other, confidence=0.9) for other in others
    )
    page = root.get(PAGE).content.decode()
    assert page.count('type="radio"') == 24
    assert "and 16 more" in page

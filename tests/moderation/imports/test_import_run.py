"""Imports through the service: every format, what changes and what does not, what is refused."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import Any

import pytest
from django.utils import timezone

from gallery.shared.errors import UserError
from moderation.access.permissions import Actor, NotAllowed, Role
from moderation.audit.models import AuditEvent
from moderation.imports import run, start
from moderation.imports.models import ListImport
from moderation.imports.options import options
from moderation.lists.models import BannedHash, BannedItem, BannedList, RetroScan
from tests.moderation.factories import ADMIN, make_item, make_list
from tests.moderation.lists.hashlist_files import DATA, md5, pdq, sha1

pytestmark = pytest.mark.django_db


def load(on: BannedList, content: str | bytes, name: str = "list.csv", **more: Any) -> ListImport:
    """Import a file of this content at once."""
    data = content.encode() if isinstance(content, str) else content
    chosen = options(
        **{key: more.pop(key) for key in ("source", "kind", "categories", "full") if key in more}
    )
    row = start.begin_here(
        by=ADMIN, list_id=on.pk, stream=BytesIO(data), name=name, options=chosen, **more
    )
    done = run.run(by=ADMIN, import_id=row.pk, stream=BytesIO(data))
    on.refresh_from_db()
    return done


def load_sample(on: BannedList, name: str, **more: Any) -> ListImport:
    return load(on, (DATA / name).read_bytes(), name, **more)


def counted(row: ListImport) -> dict[str, int]:
    """The counts that are not zero, of what can become of an entry or a row."""
    names = (*run.CHANGE_COUNTS, *run.OTHER_COUNTS, "skipped", "bad")
    return {name: row.counts[name] for name in names if row.counts[name]}


def state_of(on: BannedList) -> dict[str, tuple[str, list[str]]]:
    """source id → state and hashes, of every item."""
    return {
        item.source_id or f"item {item.pk}": (
            item.state,
            sorted(f"{one.kind} {one.value}" for one in item.hashes.all()),
        )
        for item in on.items.prefetch_related("hashes")
    }


def everything(on: BannedList) -> list[Any]:
    """All that is stored of a list's items, and its version."""
    items = on.items.order_by("pk").values()
    hashes = BannedHash.objects.filter(item__list=on).order_by("pk").values()
    version = BannedList.objects.values_list("version", flat=True).get(pk=on.pk)
    return [*items, *hashes, version]


GOOD = {
    "good.csv": {"added": 4, "unchanged": 2},
    "good_wide.csv": {"added": 1, "unchanged": 1},
    "good.txt": {"added": 7},
    "good_ncmec.xml": {"added": 3, "unchanged": 2, "skipped": 2},
    "good_stopncii.json": {"added": 3, "unchanged": 3, "skipped": 1},
    "good_threatexchange.json": {"added": 3, "unchanged": 2, "skipped": 1},
    "good_threat_updates.json": {"added": 1, "unchanged": 3},
    "good_tech_against_terrorism.json": {"added": 3, "unchanged": 1, "skipped": 1},
}
BROKEN = {
    "broken.csv": {"added": 3, "skipped": 1, "bad": 10},
    "broken.txt": {"added": 2, "skipped": 1, "bad": 5},
    "broken_ncmec.xml": {"added": 2, "bad": 4},
    "broken_stopncii.json": {"added": 2, "unchanged": 1, "bad": 6},
    "broken_threatexchange.json": {"added": 1, "bad": 7},
    "broken_tech_against_terrorism.json": {"added": 2, "bad": 5},
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [*GOOD.items(), *BROKEN.items()])
def test_each_format_is_imported_and_the_same_file_again_changes_nothing(
    name: str, expected: dict[str, int]
) -> None:
    on = make_list()
    first = load_sample(on, name)
    assert (first.state, counted(first)) == ("done", expected)
    assert first.bad_rows.count() == expected.get("bad", 0)
    assert first.sha256 == hashlib.sha256((DATA / name).read_bytes()).hexdigest()
    assert on.version == 2
    before = everything(on)

    second = load_sample(on, name)
    assert second.state == "done"
    assert set(counted(second)) <= {"unchanged", "skipped", "bad"}
    assert everything(on) == before
    assert [event.count for event in AuditEvent.objects.filter(verb="list.imported")] == [
        0,
        expected["added"],
    ]


@pytest.mark.parametrize("name", ["good_project_vic.json", "good_project_vic_cases.json"])
def test_project_vic_needs_the_categories_to_take(name: str) -> None:
    on = make_list()
    with pytest.raises(UserError, match="harmless media"):
        load_sample(on, name)
    taken = load_sample(on, name, categories=["1"])
    assert taken.state == "done"
    assert on.items.exists()
    assert set(on.items.values_list("category", flat=True)) == {"1"}
    others = sum(count for kind, count in taken.counts["skipped_kinds"].items() if "cat" in kind)
    assert others == (1 if name == "good_project_vic.json" else 0)
    assert counted(load_sample(on, name, categories=["1"])).keys() <= {"unchanged", "skipped"}
    assert load_sample(on, "broken_project_vic.json", categories=["1", "2"]).counts["bad"] == 5


def test_bad_rows_are_kept_with_their_places() -> None:
    row = load_sample(make_list(), "broken.csv")
    first = row.bad_rows.all()[0]
    assert (first.place, first.reason) == (
        "line 3",
        "md5 needs 32 hex digits, this has 31 characters",
    )
    assert first.excerpt


def test_at_most_a_thousand_bad_rows_are_stored_and_all_are_counted() -> None:
    content = "md5\n" + "nothing\n" * 1_200 + f"{md5(1)}\n"
    row = load(make_list(), content)
    assert counted(row) == {"added": 1, "bad": 1_200}
    assert row.bad_rows.count() == 1_000


def test_the_rows_of_an_entry_become_one_item_with_all_that_is_said_of_it() -> None:
    on = make_list()
    load_sample(on, "good_ncmec.xml")
    item = on.items.get(source_id="7-img-1")
    assert {one.kind: one.value for one in item.hashes.all()} == {
        "md5": md5(1),
        "sha1": sha1(1),
        "pdq": pdq(1),
    }
    assert (item.source, item.media, item.category) == ("NCMEC", "image", "A1")
    assert item.feedback == "disputed"
    assert item.added_by == "command"
    load_sample(on, "good.csv", confirmed=True)
    partner = on.items.get(source_id="p-1")
    assert partner.hashes.get(kind="pdq").quality == 87
    assert partner.tags == ["one", "two"]
    assert partner.expires_at is not None


def test_text_with_every_character_that_copy_takes_for_its_own() -> None:
    on = make_list()
    note, tag = r"a\tb \N \. \\ 'x' {y} %s", r"back\slash {brace} quo'te"
    load(on, f'md5,note,tags\n{md5(1)},"{note}","{tag}"\n')
    item = on.items.get()
    assert (item.note, item.tags) == (note, [tag])


def test_a_tombstone_retires_also_when_it_names_only_the_entry() -> None:
    on = make_list()
    load_sample(on, "good_ncmec.xml")
    gone = (
        "<queryResult><images><deletedImage><member id='7'>M</member><id>img-1</id>"
        "</deletedImage></images></queryResult>"
    )
    row = load(on, gone, "gone.xml", confirmed=True)
    assert counted(row) == {"retired": 1}
    item = on.items.get(source_id="7-img-1")
    assert (item.state, item.retired_because) == ("retired", "withdrawn by its source")
    assert item.retired_at is not None
    assert item not in BannedItem.objects.matching()


def test_a_withdrawn_row_without_id_takes_back_every_item_with_its_hash() -> None:
    on, other = make_list(), make_list()
    ours = make_item(on, ("md5", md5(1)))
    theirs = make_item(on, ("md5", md5(1)), source="Partner", source_id="9")
    elsewhere = make_item(other, ("md5", md5(1)))
    row = load(on, f"md5,deleted\n{md5(1)},yes\n", confirmed=True)
    assert counted(row) == {"retired": 2}
    states = {item.pk: item.state for item in BannedItem.objects.all()}
    assert states == {ours.pk: "retired", theirs.pk: "retired", elsewhere.pk: "active"}


def test_what_its_source_withdrew_its_source_may_bring_back() -> None:
    on = make_list()
    row = "source,source_id,md5,deleted\nP,1,{},{}\n"
    load(on, row.format(md5(1), "no"))
    load(on, row.format(md5(1), "yes"), confirmed=True)
    RetroScan.objects.all().delete()
    again = load(on, row.format(md5(1), "no"), confirmed=True)
    assert counted(again) == {"reactivated": 1}
    item = on.items.get()
    assert (item.state, item.retired_at, item.retired_because) == ("active", None, "")
    assert RetroScan.objects.get().after_item == item.pk - 1


def test_an_entry_that_had_expired_is_active_again_when_its_source_extends_it() -> None:
    on = make_list()
    item = make_item(
        on, ("md5", md5(1)), source="P", source_id="1", expires_at=timezone.now(), media="image"
    )
    row = load(on, f"source,source_id,md5\nP,1,{md5(1)}\n", confirmed=True)
    assert counted(row) == {"reactivated": 1}
    item.refresh_from_db()
    assert item.expires_at is None
    assert RetroScan.objects.get().after_item == item.pk - 1
    # A row without id knows nothing of an end.
    other = make_item(on, ("md5", md5(2)), expires_at=timezone.now())
    assert counted(load(on, f"md5\n{md5(2)}\n", confirmed=True)) == {"unchanged": 1}
    other.refresh_from_db()
    assert other.expires_at is not None


def test_what_was_retired_here_stays_retired() -> None:
    on = make_list()
    item = make_item(
        on, ("md5", md5(1)), source="P", source_id="1", state="retired",
        retired_at=timezone.now(), retired_because="not what it says",
    )  # fmt: skip
    assert counted(load(on, f"source,source_id,md5\nP,1,{md5(1)}\n")) == {"kept": 1}
    item.refresh_from_db()
    assert item.state == "retired"


@pytest.mark.parametrize("opinion", ["confirmed", "disputed", "false_positive"])
def test_our_own_opinion_survives_every_import(opinion: str) -> None:
    on = make_list()
    line = "source,source_id,md5,opinion,note,deleted\nP,1,{},{},{},{}\n"
    load(on, line.format(md5(1), "confirmed", "a", ""))
    on.items.update(opinion=opinion)
    for feedback, note, deleted in (("disputed", "b", ""), ("", "b", "yes"), ("", "c", "")):
        load(on, line.format(md5(1), feedback, note, deleted), confirmed=True)
        assert on.items.get().opinion == opinion
    item = on.items.get()
    assert (item.state, item.note, item.feedback) == ("active", "c", "none")


def test_an_entry_of_its_source_is_replaced_and_one_without_id_only_completed() -> None:
    on = make_list()
    load(on, f"source,source_id,md5,note,category\nP,1,{md5(1)},old,A1\nP,,{md5(2)},old,A1\n")
    row = load(
        on,
        f"source,source_id,md5,sha1,note,category\nP,1,{md5(1)},,,B2\nP,,{md5(2)},{sha1(2)},,B2\n",
        confirmed=True,
    )
    assert counted(row) == {"changed": 2}
    first, second = on.items.order_by("pk")
    assert (first.note, first.category) == ("", "B2")
    assert (second.note, second.category) == ("old", "B2")
    assert sorted(second.hashes.values_list("kind", flat=True)) == ["md5", "sha1"]


def test_the_same_hash_on_another_list_or_of_another_source_is_another_item() -> None:
    on = make_list()
    load(on, f"md5\n{md5(1)}\n")
    load(make_list(), f"md5\n{md5(1)}\n")
    row = load(on, f"md5\n{md5(1)}\n", source="Partner", confirmed=True)
    assert counted(row) == {"added": 1}
    assert BannedItem.objects.count() == 3


def test_of_two_words_on_an_entry_the_newer_counts_whatever_their_order() -> None:
    on = make_list()
    lines = [f"P,1,{md5(1)},new,2024-02-01,", f"P,1,{md5(2)},old,2024-01-01,"]
    head = "source,source_id,md5,note,updated_at,deleted\n"
    load(on, head + "\n".join(lines) + "\n")
    assert on.items.get().note == "new"
    assert state_of(on) == {"1": ("active", [f"md5 {md5(1)}"])}
    # The same in two files, the older one last.
    assert counted(load(on, f"{head}{lines[1]}\n", confirmed=True)) == {"unchanged": 1}
    older = f"{head}P,1,{md5(1)},,2023-01-01,yes\n"
    assert counted(load(on, older, confirmed=True)) == {"unchanged": 1}
    assert on.items.get().state == "active"
    same_day = f"{head}P,1,{md5(1)},,2024-02-01,yes\n"
    assert counted(load(on, same_day, confirmed=True)) == {"retired": 1}


def test_without_times_the_last_word_counts_and_all_hashes_do() -> None:
    on = make_list()
    load(
        on, f"source_id,kind,hash,deleted\n1,md5,{md5(1)},\n1,pdq,{pdq(1)},\n2,md5,{md5(2)},yes\n"
        f"2,md5,{md5(2)},\n3,md5,{md5(3)},\n3,md5,{md5(3)},yes\n"
    )  # fmt: skip
    assert state_of(on) == {
        "1": ("active", [f"md5 {md5(1)}", f"pdq {pdq(1)}"]),
        "2": ("active", [f"md5 {md5(2)}"]),
    }


def test_a_time_alone_is_noted_and_is_no_change() -> None:
    on = make_list()
    line = "source_id,md5,updated_at\n1,{},{}\n"
    load(on, line.format(md5(1), "2024-01-01"))
    version = on.version
    assert counted(load(on, line.format(md5(1), "2024-03-01"))) == {"unchanged": 1}
    assert on.version == version
    updated_at = on.items.get().updated_at
    assert updated_at is not None and updated_at.month == 3


def test_what_a_file_lacks_stays_unless_it_is_said_to_be_the_full_list() -> None:
    on = make_list()
    head = "source,source_id,md5\n"
    rows = [f"P,{number},{md5(number)}\n" for number in range(1, 7)]
    load(on, head + "".join(rows))
    ours = make_item(on, ("md5", md5(9)))
    other = make_item(on, ("md5", md5(8)), source="Q", source_id="1")
    assert counted(load(on, head + "".join(rows[:5]))) == {"unchanged": 5}
    row = load(on, head + "".join(rows[:5]), source="P", full=True)
    assert counted(row) == {"retired": 1, "unchanged": 5}
    assert row.counts["missing"] == 1
    missing = on.items.get(source_id="6")
    assert missing.retired_because == "no longer in its source's list"
    for item in (ours, other):
        item.refresh_from_db()
        assert item.state == "active"
    # And back again.
    assert counted(load(on, head + "".join(rows), source="P", full=True)) == {
        "reactivated": 1,
        "unchanged": 5,
    }


def test_a_hash_that_an_entry_of_a_full_list_lost_is_gone() -> None:
    on = make_list()
    load(on, f"source,source_id,md5,sha1\nP,1,{md5(1)},{sha1(1)}\n")
    shorter = f"source,source_id,md5\nP,1,{md5(1)}\n"
    assert counted(load(on, shorter, confirmed=True)) == {"unchanged": 1}
    assert counted(load(on, shorter, source="P", full=True, confirmed=True)) == {"changed": 1}
    assert state_of(on) == {"1": ("active", [f"md5 {md5(1)}"])}


def test_a_full_list_that_breaks_off_retires_nothing() -> None:
    on = make_list()
    whole = (DATA / "good_stopncii.json").read_bytes()
    load(on, whole, "whole.json")
    before = everything(on)
    cut = whole[: whole.index(b"VideoMD5")]
    row = load(on, cut, "cut.json", full=True, confirmed=True)
    assert row.counts["broken"]
    assert counted(row) == {"unchanged": 1, "bad": 1}
    assert everything(on) == before


def test_a_full_csv_must_name_its_source() -> None:
    with pytest.raises(UserError, match="name the source"):
        load(make_list(), f"md5\n{md5(1)}\n", full=True)


def test_a_large_change_waits_for_a_second_word() -> None:
    on = make_list()
    head = "source,source_id,md5,note\n"
    rows = [f"P,{number},{md5(number)},a\n" for number in range(1, 10)] + ["P,10,{},a\n"]
    rows[9] = f"P,10,{sha1(1)[:32][::-1]},a\n"
    load(on, head + "".join(rows))
    two = [row.replace(",a\n", ",b\n") for row in rows[:2]]
    assert load(on, head + "".join(two)).state == "done"
    before = everything(on)
    three = [row.replace(",a\n", ",c\n") for row in rows[:3]]
    refused = load(on, head + "".join(three))
    assert refused.state == "failed"
    assert "3 items, more than 20% of the list" in refused.failure
    assert everything(on) == before
    assert load(on, head + "".join(three), confirmed=True).state == "done"


def test_a_dry_run_writes_nothing_and_says_what_would_be() -> None:
    on = make_list()
    load_sample(on, "good_stopncii.json")
    before, events = everything(on), AuditEvent.objects.count()
    scans = RetroScan.objects.count()
    row = load_sample(on, "good.csv", dry_run=True)
    assert (row.state, counted(row)) == ("previewed", GOOD["good.csv"])
    assert row.samples["added"][0]["source_id"] == "p-1"
    assert row.samples["added"][0]["hashes"] == [f"pdq {pdq(1)}"]
    assert everything(on) == before
    assert (AuditEvent.objects.count(), RetroScan.objects.count()) == (events, scans)


def test_an_import_leaves_one_event_and_one_scan() -> None:
    on = make_list()
    version = on.version
    row = load_sample(on, "good.csv")
    event = AuditEvent.objects.get()
    assert (event.verb, event.subject_id, event.count) == ("list.imported", on.pk, 4)
    assert event.after["sha256"] == row.sha256
    assert event.after["counts"]["added"] == 4
    assert event.after["version"] == version + 1 == on.version
    scan = RetroScan.objects.get()
    assert (scan.list_id, scan.after_item) == (
        on.pk,
        min(on.items.values_list("pk", flat=True)) - 1,
    )


@pytest.mark.parametrize("fields", [{"enabled": False}, {"kind": "allow"}])
def test_a_list_that_bans_nothing_is_not_scanned_for(fields: dict[str, Any]) -> None:
    load_sample(make_list(**fields), "good.csv")
    assert not RetroScan.objects.exists()


def test_only_a_lead_may() -> None:
    on = make_list()
    nobody = Actor("user:m", Role.MODERATOR)
    with pytest.raises(NotAllowed):
        start.begin_here(by=nobody, list_id=on.pk, stream=BytesIO(b"md5 x"), name="x", options=None)


def test_a_file_of_no_format_is_refused_at_once() -> None:
    on = make_list()
    for name in ("not_a_list.html", "not_a_list.json", "not_a_list.txt"):
        with pytest.raises(UserError, match="no hash list"):
            load_sample(on, name)
    assert not ListImport.objects.exists()


def test_a_file_that_is_of_another_format_than_said_fails_with_a_sentence() -> None:
    on = make_list()
    row = load_sample(on, "good.csv", format="stopncii")
    assert row.state == "failed"
    assert "not a StopNCII file" in row.failure
    assert not on.items.exists()

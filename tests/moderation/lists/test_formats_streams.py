"""Hash lists of any size and from anybody: streaming, pages joined, hostile files, exports."""

from __future__ import annotations

import csv
import io
import itertools
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.lists.formats.reading import Format, read_rows
from moderation.lists.formats.rows import (
    Feedback,
    HashKind,
    HashRow,
    InvalidRow,
    Media,
    Opinion,
    Row,
    State,
)
from moderation.lists.formats.source import WrongFormat
from moderation.lists.formats.writing import NotWritable, write_rows
from tests.examples import fuzz
from tests.moderation.lists.hashlist_files import (
    DATA,
    NOW,
    bad,
    hashes,
    md5,
    pdq,
    rows_in,
    rows_of,
    sha256,
)

SAMPLES = sorted(path.name for path in DATA.iterdir() if path.name.startswith(("good", "broken")))


class Counted(io.BytesIO):
    """Counts the bytes it gave; once `piece` is set, gives no more than that at a time."""

    piece: int | None = None
    given = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(self.piece or size)
        self.given += len(data)
        return data


def rows_in_pieces(content: bytes, size: int) -> list[Row]:
    """The rows when the file comes in pieces of `size` bytes."""
    stream = Counted(content)
    rows = read_rows(stream, now=NOW)
    stream.piece = size
    return list(rows)


def many(format: Format, count: int) -> bytes:
    """A list of `count` hashes."""
    values = [f"{number:032x}" for number in range(1, count + 1)]
    match format:
        case Format.CSV:
            return "\n".join(
                ["md5,note", *(f"{value},a note of some words" for value in values)]
            ).encode()
        case Format.PLAIN:
            return "\n".join(f"md5 {value} a note of some words" for value in values).encode()
        case Format.NCMEC:
            entry = (
                '<image><member id="1">One</member><id>{0}</id><fingerprints><md5>{0}</md5>'
                "</fingerprints></image>\n"
            )
            inside = "".join(entry.format(value) for value in values)
            return f"<queryResult><images>{inside}</images></queryResult>".encode()
        case Format.STOPNCII:
            record: dict[str, Any] = {"signalType": "ImageMD5", "hashStatus": "Active"}
            return as_json("hashRecords", "hashValue", record, values)
        case Format.THREATEXCHANGE:
            record = {"id": "1", "type": "HASH_MD5", "status": "MALICIOUS"}
            return as_json("data", "indicator", record, values)
        case Format.TECH_AGAINST_TERRORISM:
            return as_json("results", "hash_digest", {"algorithm": "MD5"}, values)
        case Format.PROJECT_VIC:
            context = {"@odata.context": "/ProjectVic/DataModels/2.0.xml/US/$metadata#Media"}
            return as_json("value", "MD5", {"MediaID": 1}, values, context)


def as_json(
    key: str,
    field: str,
    record: dict[str, Any],
    values: list[str],
    head: dict[str, Any] | None = None,
) -> bytes:
    return json.dumps({**(head or {}), key: [record | {field: value} for value in values]}).encode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
@pytest.mark.parametrize("name", SAMPLES)
def test_where_the_chunks_end_makes_no_difference(name: str, size: int) -> None:
    content = (DATA / name).read_bytes()
    assert rows_in_pieces(content, size) == rows_of(name)
    windows = content.replace(b"\n", b"\r\n")
    assert hashes(rows_in_pieces(windows, size)) == hashes(rows_of(name))


@pytest.mark.slow
@pytest.mark.parametrize("format", list(Format))
def test_rows_come_before_the_file_has_been_read_and_memory_stays_small(format: Format) -> None:
    content = many(format, 20_000)
    stream = Counted(content)
    rows = read_rows(stream, now=NOW)
    assert hashes([next(rows)]) == [("md5", f"{1:032x}", "active")]
    assert stream.given < 300_000 < len(content) / 2
    tracemalloc.start()
    left = sum(isinstance(row, HashRow) for row in itertools.islice(rows, 5_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert left == 5_000
    assert peak < 1_000_000
    assert sum(isinstance(row, HashRow) for row in rows) == 20_000 - 5_001


@given(
    records=st.lists(
        st.dictionaries(
            st.text(max_size=5),
            st.recursive(
                st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=3), inner, max_size=3)
                ),
                max_leaves=6,
            ),
            max_size=4,
        ),
        max_size=6,
    ),
    size=st.integers(1, 40),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
@fuzz(40)
def test_json_is_cut_where_a_parser_would(
    records: list[dict[str, Any]], size: int, indent: int | None, ascii_only: bool
) -> None:
    """Each record carries a hash of its own and all sorts of brackets, quotes and escapes."""
    for number, record in enumerate(records, 1):
        record.update(
            {"algorithm": "MD5", "hash_digest": f"{number:032x}", "id": number, "deleted": False}
        )
    before = {"x": [{"results": [1]}, "]}", {"hash_digest": '\\"['}], "next": None}
    document = {**before, "results": records, "after": [["}"]]}
    content = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    rows = rows_in_pieces(content * 2, size)
    expected = [("md5", f"{number:032x}", "active") for number in range(1, len(records) + 1)]
    assert hashes(rows) == expected * 2
    assert not bad(rows)


def test_saved_pages_may_stand_one_after_the_other() -> None:
    for name in ("good_stopncii.json", "good_ncmec.xml"):
        page = (DATA / name).read_bytes()
        once = hashes(rows_of(name))
        assert hashes(rows_in(page + b"\n" + page)) == once * 2
        assert hashes(rows_in_pieces(page + page + page, 5)) == once * 3


def test_ncmec_pages_may_stand_inside_one_element() -> None:
    page = (DATA / "good_ncmec.xml").read_text().partition("?>")[2]
    assert hashes(rows_in(f"<pages>{page}{page}</pages>")) == hashes(rows_of("good_ncmec.xml")) * 2


def test_a_document_type_in_a_later_page_ends_the_file() -> None:
    page = (DATA / "good_ncmec.xml").read_bytes()
    bomb = (DATA / "entity_bomb_ncmec.xml").read_bytes()
    *rows, last = rows_in(page + bomb)
    assert rows == rows_of("good_ncmec.xml")
    assert isinstance(last, InvalidRow)
    assert last.ends_file
    assert "entities" in last.reason


@pytest.mark.parametrize(
    "content",
    [
        (DATA / "entity_bomb_ncmec.xml").read_bytes(),
        b'<!DOCTYPE q SYSTEM "http://127.0.0.1:1/q.dtd"><queryResult><images/></queryResult>',
    ],
)
def test_entities_and_document_types_are_refused(content: bytes) -> None:
    with pytest.raises(WrongFormat, match="entities"):
        rows_in(content)


@pytest.mark.slow
def test_what_never_ends_is_given_up_without_being_held() -> None:
    """12 MB where one record may have 4 MiB."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.moderation.lists.hostile_lists"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    report = json.loads(done.stdout)
    allowed = (
        "longer than 4 MiB",
        "nested too deeply",
        "65536 characters",
        "not closed",
        "1 fields",
    )
    assert [case for case in report["cases"] if not any(end in case[1] for end in allowed)] == []
    assert report["peak_mib"] < 250


@pytest.mark.parametrize(("depth", "ends_file"), [(900, False), (1_100, True)])
def test_a_record_nested_beyond_reason_ends_the_file(depth: int, ends_file: bool) -> None:
    nested = '{"a":' + "[" * depth + "]" * depth + "}"
    good = json.dumps({"algorithm": "MD5", "hash_digest": md5(1), "id": 1})
    rows = rows_in(f'{{"results": [{good}, {nested}, {good}]}}')
    assert [row.ends_file for row in rows if isinstance(row, InvalidRow)] == [ends_file]
    assert len(hashes(rows)) == (1 if ends_file else 2)


def test_an_unclosed_quote_does_not_swallow_the_lines_after_it() -> None:
    lines = [f'{number:032x},"note {number}"' for number in range(1, 200)]
    lines[9] = f'{10:032x},"never closed'
    lines[99] = f'{100:032x},clo"sed'
    rows = rows_in("\n".join(["md5,note", *lines]))
    assert len(hashes(rows)) == 197
    assert [place for place, _ in bad(rows)] == ["line 11", "line 101"]


def test_text_that_a_database_refuses_is_made_harmless() -> None:
    record = {
        "algorithm": "MD5",
        "hash_digest": md5(1),
        "id": "a\0b",
        "ideology": "x" * 300,
    }
    (row,) = rows_in(json.dumps({"results": [record]}))
    assert isinstance(row, HashRow)
    assert row.source_id == "a�b"
    assert len(row.category) == 255


NONSENSE: list[Any] = [
    None, True, 5, -1.5, 10**30, "", "x", "\0", "9" * 400, [], [1], [[]], [None], {}, {"a": 1},
]  # fmt: skip


def with_nonsense(value: Any) -> Iterator[Any]:
    """The value with each part of it, one after the other, replaced by each nonsense."""
    yield from NONSENSE
    parts = (
        value
        if isinstance(value, dict)
        else dict(enumerate(value if isinstance(value, list) else ()))
    )
    for key, part in parts.items():
        for changed in with_nonsense(part):
            copy = value.copy()
            copy[key] = changed
            yield copy


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("good_stopncii.json", "hashRecords"),
        ("good_threatexchange.json", "data"),
        ("good_threat_updates.json", "data"),
        ("good_tech_against_terrorism.json", "results"),
        ("good_project_vic.json", "value"),
    ],
)
def test_no_value_of_a_record_stops_the_import(name: str, key: str) -> None:
    document = json.loads((DATA / name).read_bytes())
    first, last = document[key][0], document[key][1]
    changed = [record for record in with_nonsense(first) if isinstance(record, dict | list)]
    document[key] = [first, *changed, last]
    rows = rows_in(json.dumps(document))
    places = [row.place for row in rows]
    assert list(dict.fromkeys(places)) == [f"record {n}" for n in range(1, len(changed) + 3)]
    assert not [row for row in rows if isinstance(row, InvalidRow) and row.ends_file]


@given(cells=st.lists(st.lists(st.text(max_size=8), min_size=5, max_size=5), max_size=5))
@fuzz(25)
def test_no_cell_of_a_table_stops_the_import(cells: list[list[str]]) -> None:
    table = io.StringIO()
    csv.writer(table).writerows([["md5", "quality", "deleted", "expires_on", "id"], *cells])
    rows = rows_in(f"{table.getvalue()}{md5(1)},,,,\n")
    assert hashes(rows)[-1] == ("md5", md5(1), "active")


@pytest.mark.parametrize("field", ["CSPFeedbacks", "caseNumbers", "lastModtimestamp"])
def test_a_withdrawal_counts_even_in_a_record_that_makes_no_sense(field: str) -> None:
    record = {"signalType": "ImagePDQ", "hashValue": pdq(1), "hashStatus": "Withdrawn", field: 5}
    rows = rows_in(json.dumps({"hashRecords": [record]}))
    assert hashes(rows) == [("pdq", pdq(1), "tombstone")]
    update = {"id": "1", "should_delete": True, "descriptors": 5, "indicator": 5}
    assert hashes(rows_in(json.dumps({"data": [update]}))) == [("", "", "tombstone")]


FULL = HashRow(
    place="line 2",
    kind=HashKind.PDQ,
    value=pdq(1),
    quality=64,
    media=Media.IMAGE,
    source="Partner",
    source_id="p-1",
    owner="Harbour Photos",
    category="A1",
    severity="high",
    tags=("one", "two"),
    note='=HYPERLINK("http://example.org") says, "hello"; Größe',
    feedback=(Feedback("", Opinion.CONFIRMED),),
    updated_at=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
    expires_at=datetime(2030, 1, 1, tzinfo=UTC),
)


def exported(rows: list[HashRow], format: Format) -> bytes:
    return b"".join(write_rows(rows, format))


def test_csv_reads_back_to_the_same_rows() -> None:
    rows = [
        FULL,
        HashRow(place="line 3", state=State.TOMBSTONE, source="Partner", source_id="p-2"),
        replace(
            FULL, place="line 4", kind=HashKind.SHA256, value=sha256(1), quality=None, note="'=1"
        ),
        HashRow(place="line 5", kind=HashKind.MD5, value=md5(1), media=Media.VIDEO, note="-1"),
    ]
    content = exported(rows, Format.CSV)
    assert rows_in(content) == rows
    cells = content.decode().replace("\n", ",").split(",")
    assert not [cell for cell in cells if cell.strip('"').startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("good")])
def test_every_format_survives_the_way_through_csv(name: str) -> None:
    def told(rows: list[Row]) -> Iterator[tuple[HashRow, Opinion]]:
        for row in rows:
            if isinstance(row, HashRow):
                yield replace(row, place="", feedback=()), row.opinion

    original = [row for row in rows_of(name) if isinstance(row, HashRow)]
    again = rows_in(exported(original, Format.CSV))
    assert list(told(again)) == list(told(list(original)))


def test_plain_lines_keep_the_active_hashes() -> None:
    rows = [
        FULL,
        replace(FULL, kind=HashKind.MD5, value=md5(1), quality=None),
        replace(FULL, kind=HashKind.MD5, value=md5(2), state=State.TOMBSTONE),
        HashRow(place="", state=State.TOMBSTONE, source_id="x"),
    ]
    content = exported(rows, Format.PLAIN)
    assert content.decode() == f"pdq {pdq(1)} 64\nmd5 {md5(1)}\n"
    assert hashes(rows_in(content)) == [("pdq", pdq(1), "active"), ("md5", md5(1), "active")]


def test_threatexchange_reads_back_what_it_has_fields_for() -> None:
    rows = [
        FULL,
        HashRow(place="", kind=HashKind.MD5, value=md5(1), media=Media.VIDEO),
        HashRow(place="", state=State.TOMBSTONE, source_id="p-2"),
        replace(FULL, feedback=(Feedback("", Opinion.FALSE_POSITIVE),)),
    ]
    again = rows_in(exported(rows, Format.THREATEXCHANGE))
    assert hashes(again) == [
        ("pdq", pdq(1), "active"),
        ("md5", md5(1), "active"),
        ("", "", "tombstone"),
        ("pdq", pdq(1), "tombstone"),
    ]
    first, second, third, _ = again
    assert isinstance(first, HashRow)
    assert replace(first, place="", source="", feedback=()) == replace(
        FULL, place="", source="", feedback=(), category="", quality=None, media=Media.UNKNOWN
    )
    assert isinstance(second, HashRow)
    assert second.media is Media.VIDEO
    assert isinstance(third, HashRow)
    assert third.source_id == "p-2"


def test_an_empty_export_is_a_list_that_can_be_read() -> None:
    assert rows_in(exported([], Format.CSV)) == []
    assert rows_in(exported([], Format.THREATEXCHANGE)) == []


@pytest.mark.parametrize("format", [Format.NCMEC, Format.STOPNCII, Format.PROJECT_VIC])
def test_formats_that_only_their_owner_writes(format: Format) -> None:
    with pytest.raises(NotWritable, match="csv, plain, threatexchange"):
        write_rows([FULL], format)

"""Each format, from a good file and from a broken one."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from moderation.lists.formats.reading import Format, detect, read_rows
from moderation.lists.formats.rows import Feedback, HashKind, HashRow, Media, Opinion, State
from moderation.lists.formats.source import UnknownFormat, WrongFormat
from tests.moderation.lists.hashlist_files import (
    DATA,
    NOW,
    bad,
    hashes,
    md5,
    only,
    pdq,
    rows_in,
    rows_of,
    sha1,
    sha256,
    skipped,
)

GOOD = {
    "good.csv": Format.CSV,
    "good_wide.csv": Format.CSV,
    "good.txt": Format.PLAIN,
    "good_ncmec.xml": Format.NCMEC,
    "good_stopncii.json": Format.STOPNCII,
    "good_threatexchange.json": Format.THREATEXCHANGE,
    "good_threat_updates.json": Format.THREATEXCHANGE,
    "good_tech_against_terrorism.json": Format.TECH_AGAINST_TERRORISM,
    "good_project_vic.json": Format.PROJECT_VIC,
    "good_project_vic_cases.json": Format.PROJECT_VIC,
}


@pytest.mark.parametrize(("name", "format"), GOOD.items())
def test_the_format_is_detected_from_the_first_bytes(name: str, format: Format) -> None:
    head = (DATA / name).read_bytes()[:65_536]
    assert detect(head) is format
    assert detect(b"\xef\xbb\xbf" + head) is format
    assert rows_of(name) == rows_of(name, format)
    assert not bad(rows_of(name))


@pytest.mark.parametrize("name", ["not_a_list.html", "not_a_list.json", "not_a_list.txt"])
def test_what_is_no_list_is_refused_in_one_sentence_whatever_it_is_said_to_be(name: str) -> None:
    with pytest.raises(UnknownFormat, match="no hash list"):
        rows_of(name)
    for format in Format:
        with pytest.raises(WrongFormat), (DATA / name).open("rb") as stream:
            read_rows(stream, format, now=NOW)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x89PNG\r\n\x1a\n\0\0", b"PK\3\4\0\0", b"{}"])
def test_an_empty_or_binary_file_has_no_format(content: bytes) -> None:
    with pytest.raises(UnknownFormat):
        detect(content)


@pytest.mark.parametrize(
    ("name", "claimed"),
    [(name, other) for name, own in GOOD.items() for other in Format if other is not own],
)
def test_a_file_of_another_format_is_refused(name: str, claimed: Format) -> None:
    with pytest.raises(WrongFormat):
        rows_of(name, claimed)


def test_csv_one_hash_a_line() -> None:
    rows = rows_of("good.csv")
    assert only(rows, "line 2") == HashRow(
        place="line 2",
        kind=HashKind.PDQ,
        value=pdq(1),
        quality=87,
        media=Media.IMAGE,
        category="A1",
        severity="high",
        tags=("one", "two"),
        source="Partner",
        source_id="p-1",
        note="A note, with a comma and a second line",
        feedback=(Feedback("", Opinion.CONFIRMED),),
        updated_at=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
    )
    assert hashes(rows)[1:] == [
        ("md5", md5(1), "active"),
        ("sha256", sha256(1), "active"),
        ("", "", "tombstone"),
        ("md5", md5(2), "tombstone"),
        ("md5", "1234567890abcdef1234567890abcdef", "active"),
    ]
    assert only(rows, "line 5").opinion is Opinion.FALSE_POSITIVE
    assert only(rows, "line 6").source_id == "p-2"


def test_an_entry_is_a_tombstone_from_the_moment_it_expires() -> None:
    content = f"md5,expires_on\n{md5(1)},2025-01-01T00:00:00Z\n{md5(2)},2025-01-01T00:00:01Z\n"
    assert [state for _, _, state in hashes(rows_in(content))] == ["tombstone", "active"]


def test_csv_several_hashes_a_line_and_semicolons() -> None:
    rows = rows_of("good_wide.csv")
    assert hashes(rows) == [
        ("md5", md5(1), "active"),
        ("sha1", sha1(1), "active"),
        ("pdq", pdq(1), "active"),
        ("md5", md5(2), "tombstone"),
    ]
    assert [row.source_id for row in rows if isinstance(row, HashRow)] == ["w-1"] * 3 + ["w-2"]


def test_csv_bad_rows_are_quarantined_with_their_lines() -> None:
    rows = rows_of("broken.csv")
    assert hashes(rows) == [("md5", md5(number), "active") for number in (1, 5, 9)]
    assert bad(rows) == [
        ("line 3", "md5 needs 32 hex digits, this has 31 characters"),
        ("line 4", "“crc32” is not a known kind of hash"),
        ("line 5", "the quality “101” is not a number from 0 to 100"),
        (
            "line 6",
            "64 hex digits may be a sha256 or a pdq; write the kind before the value",
        ),
        ("line 7", "a quote is opened and not closed"),
        # The empty cell at the end is none too many; the comma in the note still is.
        ("line 9", "“comma” is neither true nor false"),
        ("line 10", "“perhaps” is neither true nor false"),
        ("line 11", "this md5 is that of an empty file"),
        ("line 12", "one repeated digit is the pdq of no picture"),
        ("line 13", "there is no hash"),
    ]
    assert skipped(rows) == [("line 14", "photodna")]


def test_two_columns_of_one_meaning_are_refused() -> None:
    with pytest.raises(WrongFormat, match=r"2 columns .* “md5”"):
        rows_in(f"md5,MD5\n{md5(1)},{md5(2)}\n")


@pytest.mark.parametrize("encoding", ["Shift_JIS", "UTF-7", "no-such", "hex", "punycode", "idna"])
def test_xml_in_an_encoding_that_cannot_be_read(encoding: str) -> None:
    content = (DATA / "good_ncmec.xml").read_bytes()
    declared = content.replace(b'encoding="UTF-8"', f'encoding="{encoding}"'.encode())
    assert declared != content
    with pytest.raises(WrongFormat, match="an encoding that cannot be read"):
        rows_in(declared)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_text_of_a_spreadsheet_program(encoding: str) -> None:
    content = f"md5;note\r\n{md5(1)};Größe\r\n".encode(encoding)
    (row,) = rows_in(content)
    assert isinstance(row, HashRow)
    assert (row.value, row.note) == (md5(1), "Größe")


def test_bytes_that_are_no_utf8_cost_no_row() -> None:
    (row,) = rows_in(f"md5,note\n{md5(1)},Gr\xf6\xdfe\n".encode("latin-1"))
    assert isinstance(row, HashRow)
    assert row.note == r"Gr\xf6\xdfe"


def test_plain_lines() -> None:
    rows = rows_of("good.txt")
    assert hashes(rows) == [
        ("md5", md5(1), "active"),
        ("sha1", sha1(1), "active"),
        ("sha256", sha256(1), "active"),
        ("pdq", pdq(1), "active"),
        ("md5", md5(2), "active"),
        ("sha1", sha1(2), "active"),
        ("md5", md5(3), "active"),
    ]
    assert only(rows, "line 5").note == "from the archive"
    assert only(rows, "line 6").quality == 91
    assert only(rows, "line 8").note == "photo of nothing.jpg"
    assert only(rows, "line 9").media is Media.VIDEO


def test_plain_bad_lines() -> None:
    rows = rows_of("broken.txt")
    assert hashes(rows) == [("md5", md5(1), "active"), ("md5", md5(4), "active")]
    assert [place for place, _ in bad(rows)] == ["line 2", "line 3", "line 4", "line 5", "line 6"]
    assert skipped(rows) == [("line 7", "photodna")]


def test_64_digits_alone_are_what_the_importer_says() -> None:
    content = f"{sha256(1)}\n"
    assert bad(rows_in(content))
    for kind in (HashKind.SHA256, HashKind.PDQ):
        assert hashes(rows_in(content, default_kind=kind)) == [(kind, sha256(1), "active")]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_base64_is_read_as_the_same_hash(number: int) -> None:
    for kind, value in (("md5", md5(number)), ("sha1", sha1(number)), ("sha256", sha256(number))):
        text = base64.b64encode(bytes.fromhex(value)).decode()
        assert hashes(rows_in(f"{kind} {text}\n")) == [(kind, value, "active")]


def test_ncmec() -> None:
    rows = rows_of("good_ncmec.xml")
    assert hashes(rows) == [
        ("md5", md5(1), "active"),
        ("sha1", sha1(1), "active"),
        ("pdq", pdq(1), "active"),
        ("md5", md5(2), "active"),
        ("", "", "tombstone"),
        ("md5", md5(3), "active"),
        ("", "", "tombstone"),
    ]
    assert skipped(rows) == [("entry 1", "pdna"), ("entry 4", "tmk-pdqf")]
    assert only(rows, "entry 2") == HashRow(
        place="entry 2",
        kind=HashKind.MD5,
        value=md5(2),
        media=Media.IMAGE,
        source="NCMEC",
        source_id="8-img-2",
        owner="Lantern Chat",
        category="B2",
        updated_at=datetime(2024, 1, 2, tzinfo=UTC),
    )
    assert only(rows, "entry 3").source_id == "8-img-3"
    assert only(rows, "entry 4").media is Media.VIDEO
    assert only(rows, "entry 5").source_id == "7-vid-2"


def test_ncmec_votes_count_for_the_fingerprint_they_were_given_on() -> None:
    by_kind = {
        row.kind: row.feedback
        for row in rows_of("good_ncmec.xml")
        if isinstance(row, HashRow) and row.place == "entry 1"
    }
    assert by_kind == {
        HashKind.MD5: (Feedback("Harbour Photos", Opinion.CONFIRMED),),
        HashKind.SHA1: (),
        HashKind.PDQ: (Feedback("Lantern Chat", Opinion.FALSE_POSITIVE, ("Adult",)),),
    }


def test_ncmec_bad_entries_and_a_file_that_breaks_off() -> None:
    rows = rows_of("broken_ncmec.xml")
    assert hashes(rows) == [("sha1", sha1(1), "active"), ("md5", md5(3), "active")]
    assert [place for place, _ in bad(rows)] == [
        "entry 1",
        "entry 2",
        "entry 3",
        "after entry 4",
    ]
    assert [row.ends_file for row in rows if not isinstance(row, HashRow)] == [False] * 3 + [True]  # type: ignore[union-attr]
    assert only(rows, "entry 4").updated_at is None


def test_stopncii() -> None:
    rows = rows_of("good_stopncii.json")
    assert hashes(rows) == [
        ("pdq", pdq(1), "active"),
        ("md5", md5(1), "active"),
        ("pdq", pdq(2), "tombstone"),
        ("pdq", pdq(3), "tombstone"),
        ("pdq", pdq(4), "tombstone"),
        ("pdq", pdq(5), "active"),
    ]
    assert skipped(rows) == [("record 7", "VideoTMK")]
    first = only(rows, "record 1")
    assert first.source_id == f"ImagePDQ:{pdq(1)}"
    assert (first.media, first.tags) == (Media.IMAGE, ("nude",))
    assert first.updated_at == datetime(2024, 1, 1, tzinfo=UTC)
    assert first.feedback == (
        Feedback("Harbour Photos", Opinion.CONFIRMED, ("nude",)),
        Feedback("Lantern Chat", Opinion.NONE),
    )
    assert first.opinion is Opinion.CONFIRMED
    assert only(rows, "record 6").opinion is Opinion.DISPUTED


def test_stopncii_bad_records_cost_only_themselves() -> None:
    rows = rows_of("broken_stopncii.json")
    assert hashes(rows) == [
        ("pdq", pdq(1), "active"),
        ("", "", "tombstone"),
        ("pdq", pdq(3), "active"),
    ]
    assert bad(rows) == [
        ("record 2", "pdq needs 64 hex digits, this has 32 characters"),
        ("record 3", "one repeated digit is the pdq of no picture"),
        ("record 4", "the hashStatus “Frozen” is not known"),
        ("record 5", "signalType or hashValue is missing"),
        ("record 6", "this is not JSON: unexpected character, expected a JSON value"),
        ("record 7", "this is not JSON: unexpected content after document"),
    ]


def test_threatexchange_descriptors() -> None:
    rows = rows_of("good_threatexchange.json")
    assert only(rows, "record 1") == HashRow(
        place="record 1",
        kind=HashKind.PDQ,
        value=pdq(1),
        source="ThreatExchange",
        source_id="1",
        owner="Harbour Photos",
        severity="SEVERE",
        tags=("media_type_image", "pilot"),
        note="first of a series",
        feedback=(Feedback("Harbour Photos", Opinion.CONFIRMED),),
        updated_at=datetime(2020, 7, 1, 18, 31, 15, tzinfo=UTC),
    )
    assert (only(rows, "record 2").media, only(rows, "record 2").tags) == (Media.VIDEO, ("pilot",))
    harmless = only(rows, "record 3")
    assert (harmless.state, harmless.opinion) == (State.TOMBSTONE, Opinion.FALSE_POSITIVE)
    assert only(rows, "record 4").opinion is Opinion.DISPUTED
    assert only(rows, "record 4").state is State.ACTIVE
    assert only(rows, "record 5").state is State.TOMBSTONE
    assert skipped(rows) == [("record 6", "URI")]


def test_threatexchange_updates() -> None:
    rows = rows_of("good_threat_updates.json")
    assert hashes(rows) == [
        ("md5", md5(1), "active"),
        ("md5", md5(2), "tombstone"),
        ("", "", "tombstone"),
        ("md5", md5(3), "tombstone"),
    ]
    first = only(rows, "record 1")
    assert (first.tags, first.opinion) == (("a", "b"), Opinion.DISPUTED)
    assert [one.by for one in first.feedback] == ["Harbour Photos", "78"]
    assert [row.source_id for row in rows if isinstance(row, HashRow)] == ["11", "12", "13", "14"]


def test_threatexchange_bad_records_and_a_file_that_is_cut_short() -> None:
    rows = rows_of("broken_threatexchange.json")
    assert hashes(rows) == [("pdq", pdq(2), "active")]
    assert bad(rows) == [
        ("record 1", "pdq needs 64 hex digits, this has 62 characters"),
        ("record 2", "the id is missing"),
        ("record 3", "the type is missing"),
        ("record 4", "an array of objects is expected in descriptors, tags and reactions"),
        ("record 5", "“soon” is not a date"),
        ("record 6", "the pdq is missing"),
        ("after record 7", "the file breaks off: it is cut short"),
    ]
    assert rows[-1].ends_file  # type: ignore[union-attr]


def test_tech_against_terrorism() -> None:
    rows = rows_of("good_tech_against_terrorism.json")
    assert hashes(rows) == [
        ("md5", md5(1), "active"),
        ("sha256", sha256(1), "active"),
        ("pdq", pdq(1), "active"),
        ("md5", md5(2), "tombstone"),
    ]
    assert skipped(rows) == [("record 5", "SHA512")]
    second = only(rows, "record 2")
    assert (second.media, second.category, second.source_id) == (Media.VIDEO, "islamist", "2")
    assert second.updated_at == datetime(2024, 1, 2, tzinfo=UTC)


def test_tech_against_terrorism_bad_records_in_a_bare_array() -> None:
    rows = rows_of("broken_tech_against_terrorism.json")
    assert hashes(rows) == [("md5", md5(1), "active"), ("md5", md5(5), "active")]
    assert bad(rows) == [
        ("record 2", "md5 needs 32 hex digits, this has other characters"),
        ("record 3", "“MD6” is not a known kind of hash"),
        ("record 4", "“maybe” is neither true nor false"),
        ("record 5", "the id is not a text or a number"),
        ("record 6", "algorithm or hash_digest is missing"),
    ]


def test_project_vic() -> None:
    rows = rows_of("good_project_vic.json")
    assert hashes(rows) == [
        ("md5", md5(1), "active"),
        ("sha1", sha1(1), "active"),
        ("md5", md5(2), "active"),
        ("md5", md5(3), "active"),
        ("sha256", sha256(1), "active"),
    ]
    assert skipped(rows) == [("record 2", "PhotoDNA"), ("record 3", "PhotoDNA")]
    first = rows[0]
    assert isinstance(first, HashRow)
    assert (first.category, first.source_id, first.note) == ("1", "1", "seen twice")
    assert first.tags == ("VICS 2.0/US", "one", "two", "Harbour", "VictimIdentified")
    assert (only(rows, "record 2").category, first.media) == ("0", Media.IMAGE)


def test_project_vic_case_files_yield_their_media_and_not_the_copies_of_them() -> None:
    rows = rows_of("good_project_vic_cases.json")
    assert hashes(rows) == [("md5", md5(number), "active") for number in (1, 2, 3)]
    assert only(rows, "record 1").tags == ("VICS 1.3",)


def test_project_vic_bad_records() -> None:
    rows = rows_of("broken_project_vic.json")
    assert hashes(rows) == [("md5", md5(4), "active")]
    assert bad(rows) == [
        ("record 1", "md5 needs 32 hex digits, this has 31 characters"),
        ("record 2", "there is no MD5, SHA1 or other hash"),
        ("record 3", "“perhaps” is neither true nor false"),
        ("record 4", "the id is longer than 255 characters"),
        ("record 5", "this is not an object with fields"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        '{"hashRecords": []}',
        '{"data": [], "paging": {}}',
        '{"count": 0, "results": []}',
        '{"@odata.context": "…/ProjectVic/DataModels/2.0.xml/US/$metadata#Media", "value": []}',
        "<queryResult><images/></queryResult>",
        "md5,note\n",
    ],
)
def test_a_list_without_entries_is_a_list(content: str) -> None:
    assert rows_in(content) == []

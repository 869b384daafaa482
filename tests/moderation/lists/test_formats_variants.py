"""The ways in which people and programs write the same list: each row counts as it was meant."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from moderation.lists.formats.rows import HashKind, HashRow, Media, State
from moderation.lists.formats.values import Unmatchable, parse_kind, time_of
from tests.moderation.lists.hashlist_files import bad, hashes, md5, only, pdq, rows_in, sha1, sha256

TIMES = {
    "47815": datetime(2030, 11, 28, tzinfo=UTC),
    "47815.75": datetime(2030, 11, 28, 18, tzinfo=UTC),
    "47815,5": datetime(2030, 11, 28, 12, tzinfo=UTC),
    "2958465": datetime(9999, 12, 31, tzinfo=UTC),
    "20301128": datetime(2030, 11, 28, tzinfo=UTC),
    "20301128.0": datetime(2030, 11, 28, tzinfo=UTC),
    "203011281806": datetime(2030, 11, 28, 18, 6, tzinfo=UTC),
    "20301128180607": datetime(2030, 11, 28, 18, 6, 7, tzinfo=UTC),
    "1922119567": datetime(2030, 11, 28, 18, 6, 7, tzinfo=UTC),
    "1922119567.0": datetime(2030, 11, 28, 18, 6, 7, tzinfo=UTC),
    "1922119567000": datetime(2030, 11, 28, 18, 6, 7, tzinfo=UTC),
    "1922119567000000": datetime(2030, 11, 28, 18, 6, 7, tzinfo=UTC),
    "1922119567000000000": datetime(2030, 11, 28, 18, 6, 7, tzinfo=UTC),
    "253402300799": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    "2030-11-28": datetime(2030, 11, 28, tzinfo=UTC),
    "2030/11/28": datetime(2030, 11, 28, tzinfo=UTC),
    "28.11.2030": datetime(2030, 11, 28, tzinfo=UTC),
    "28.11.2030 18:06": datetime(2030, 11, 28, 18, 6, tzinfo=UTC),
    " 2030-11-28T18:06:07Z ": datetime(2030, 11, 28, 18, 6, 7, tzinfo=UTC),
    "2030-11-28 18:06:07 UTC": datetime(2030, 11, 28, 18, 6, 7, tzinfo=UTC),
}
NO_TIMES = ["", "0", "0.0", "NULL", "nan", "0000-00-00", "1970-01-01", "0001-01-01T00:00:00"]
BAD_TIMES = [
    "1", "5", "2030", "1999.5", "12345", "29220", "3000000", "19700101", "20301399", "20301128.5x",
    "28/11/2030", "11/28/30", "99.99.2030", "1.92212E+09", "-47815", "1975-06-01", "9" * 30, "soon",
    "1e999", "９９", "2030-13-01",
]  # fmt: skip


@pytest.mark.parametrize(("text", "meant"), TIMES.items())
def test_a_time_is_read_as_it_was_meant(text: str, meant: datetime) -> None:
    (row,) = rows_in(f'md5;expires_at;updated_at\n{md5(1)};"{text}";"{text}"\n')
    assert isinstance(row, HashRow)
    assert (row.expires_at, row.updated_at, row.state) == (meant, meant, State.ACTIVE)


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_programs_write_for_no_time_is_none(text: str) -> None:
    (row,) = rows_in(f'md5,expires_at\n{md5(1)},"{text}"\n')
    assert isinstance(row, HashRow)
    assert (row.expires_at, row.state) == (None, State.ACTIVE)


@pytest.mark.parametrize("text", BAD_TIMES)
def test_what_is_no_time_is_a_bad_row_and_never_an_expiry(text: str) -> None:
    rows = rows_in(f'md5;expires_at\n{md5(1)};"{text}"\n{md5(2)};\n')
    assert hashes(rows) == [("md5", md5(2), "active")]
    ((place, reason),) = bad(rows)
    assert place == "line 2"
    assert "is not a date" in reason


@pytest.mark.parametrize("text", ["5", "2030", "29220"])
def test_a_withdrawal_whose_time_is_no_time_is_not_an_old_one(text: str) -> None:
    (row,) = rows_in(f"md5,deleted,updated_at\n{md5(1)},yes,{text}\n")
    assert isinstance(row, HashRow)
    assert (row.state, row.updated_at) == (State.TOMBSTONE, None)


def test_no_number_is_read_as_a_time_before_1980() -> None:
    numbers = random.Random(7)
    for _ in range(5000):
        text = str(numbers.randrange(1, 10 ** numbers.randrange(1, 20)))
        try:
            time = time_of(text)
        except (ValueError, OverflowError):
            continue
        assert time is not None
        assert time.year >= 1980


def test_a_small_number_of_threatexchange_is_no_expiry() -> None:
    record = '{"id": 1, "type": "HASH_MD5", "raw_indicator": "%s", "expired_on": %s}'
    for expired_on, state in (("47815", "active"), ("1922119567", "active"), ("0", "active")):
        rows = rows_in(f'{{"data": [{record % (md5(1), expired_on)}]}}')
        assert hashes(rows) == [("md5", md5(1), state)]
    rows = rows_in(f'{{"data": [{record % (md5(1), "2030")}]}}')
    assert [reason for _, reason in bad(rows)] == ["“2030” is not a date; write it as 2030-01-31"]


@pytest.mark.parametrize(
    ("text", "quality"),
    [("95.0", 95), ("95,0", 95), ("0.0", 0), ("1.0", 1), ("100", 100), ("95 %", 95), ("NaN", None)],
)
def test_quality(text: str, quality: int | None) -> None:
    (row,) = rows_in(f"pdq;quality\n{pdq(1)};{text}\n")
    assert isinstance(row, HashRow)
    assert row.quality == quality


@pytest.mark.parametrize("text", ["0.95", "101", "-1", "inf", "high", "100.5"])
def test_quality_that_is_none(text: str) -> None:
    rows = rows_in(f"pdq,quality\n{pdq(1)},{text}\n")
    assert [reason for _, reason in bad(rows)] == [
        f"the quality “{text}” is not a number from 0 to 100"
    ]


@pytest.mark.parametrize(
    ("text", "state"), [("1.0", "tombstone"), ("0.0", "active"), ("NULL", "active")]
)
def test_flags_of_a_table_program(text: str, state: str) -> None:
    assert hashes(rows_in(f"md5,deleted\n{md5(1)},{text}\n")) == [("md5", md5(1), state)]


KINDS = {
    "SHA2-256": HashKind.SHA256, "SHA-2 (256)": HashKind.SHA256, "sha_256": HashKind.SHA256,
    "SHA256sum": HashKind.SHA256,
    "SHA-1": HashKind.SHA1, "sha1 checksum": HashKind.SHA1, "HASH_SHA1": HashKind.SHA1,
    "PDQ_HASH": HashKind.PDQ, "PDQ Hash Value": HashKind.PDQ, "pdq-256": HashKind.PDQ,
    "HASH_PDQ": HashKind.PDQ,
    "MD5 hash": HashKind.MD5, "File MD5": HashKind.MD5, "md5_hex": HashKind.MD5,
    "MD5 (base64)": HashKind.MD5,
}  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_names_of_kinds_as_cells_and_as_columns(name: str, kind: HashKind) -> None:
    value = {
        HashKind.MD5: md5(1),
        HashKind.SHA1: sha1(1),
        HashKind.SHA256: sha256(1),
        HashKind.PDQ: pdq(1),
    }[kind]
    assert parse_kind(name)[0] is kind
    assert hashes(rows_in(f"hash,kind\n{value},{name}\n")) == [(kind, value, "active")]
    assert hashes(rows_in(f"note,{name}\nn,{value}\n")) == [(kind, value, "active")]


@pytest.mark.parametrize(
    ("name", "media"), [("ImagePDQ", Media.IMAGE), ("MD5 (video)", Media.VIDEO)]
)
def test_kinds_that_say_what_was_hashed(name: str, media: Media) -> None:
    assert parse_kind(name)[1] is media


@pytest.mark.parametrize(
    "name", ["PhotoDNA", "PhotoDNA hash", "image_photodna", "SHA2-512", "vPDQ"]
)
def test_kinds_that_cannot_be_matched_stay_so(name: str) -> None:
    with pytest.raises(Unmatchable):
        parse_kind(name)


def test_a_kind_written_twice_counts_once() -> None:
    rows = rows_in(f"MD5 base64,md5,video_md5\nnot read,{md5(1)},nor this\n")
    assert hashes(rows) == [("md5", md5(1), "active")]


BEFORE = [
    "",
    "sep=;\n",
    '"sep=;"\n',
    "SEP=;\n\n",
    "# exported today\n\n# twice\n",
    "sep=;\n# a, b\n",
]
HEADERS = [
    "md5;note;deleted",
    "MD5 ; Note;DELETED",
    '"md5";"note";"deleted";;',
    "#md5;note;deleted",
]
ENDS = ["\n", "\r\n", "\r"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("before", BEFORE)
def test_what_stands_around_the_rows_changes_none(before: str, end: str, encoding: str) -> None:
    for header in HEADERS:
        content = (
            f"{before}{header}\n{md5(1)};Größe;\n# a comment; {md5(9)};\n;;\n\n"
            f'{md5(2)};"a ""b"" c";;;\n{md5(3)}\n{md5(4)};;yes;\n'
        )
        rows = rows_in(content.replace("\n", end).encode(encoding))
        assert hashes(rows) == [
            ("md5", md5(number), "tombstone" if number == 4 else "active")
            for number in (1, 2, 3, 4)
        ]
        assert not bad(rows)
        assert [row.note for row in rows if isinstance(row, HashRow)][:2] == ["Größe", 'a "b" c']


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_sep_line_names_any_delimiter(delimiter: str) -> None:
    content = f"sep={delimiter}\nmd5{delimiter}note\n{md5(1)}{delimiter}one\n"
    assert only(rows_in(content), "line 3").note == "one"


def test_a_field_of_two_lines_may_hold_a_hash_or_empty_lines() -> None:
    content = (
        f'source_id,md5,note\n1,{md5(1)},"same as\n{md5(9)}"\n2,{md5(2)},"see\n\nb, {md5(8)}, c"\n'
        f'"3\nx",{md5(3)},three\n'
    )
    rows = rows_in(content)
    assert hashes(rows) == [("md5", md5(number), "active") for number in (1, 2, 3)]
    assert only(rows, "line 2").note == f"same as {md5(9)}"
    assert only(rows, "line 7").source_id == "3 x"


def test_unclosed_quotes_cost_their_own_lines_alone() -> None:
    content = (
        f'md5,note\n{md5(1)},"opened\n{md5(2)},"two\nlines"\n{md5(3)},"opened\n{md5(4)},fine\n'
        f'{md5(5)},"\n{md5(6)},six\n'
    )
    rows = rows_in(content)
    assert hashes(rows) == [("md5", md5(number), "active") for number in (2, 4, 6)]
    assert [place for place, _ in bad(rows)] == ["line 2", "line 5", "line 7"]


def test_a_number_sign_may_begin_an_id() -> None:
    rows = rows_in(f"source_id,md5\n#17,{md5(1)}\n# only a comment,\n# nor this\n")
    assert hashes(rows) == [("md5", md5(1), "active")]
    assert only(rows, "line 2").source_id == "#17"


def test_cells_too_many_are_a_bad_row() -> None:
    rows = rows_in(f"md5,note\n{md5(1)},a,b\n{md5(2)},a,,\n")
    assert hashes(rows) == [("md5", md5(2), "active")]
    assert bad(rows) == [("line 2", "there are 3 fields, the header has 2")]


def test_an_id_that_became_a_number_is_the_same_id() -> None:
    (row,) = rows_in(f"source_id,md5\n17.0,{md5(1)}\n")
    assert isinstance(row, HashRow)
    assert row.source_id == "17"


def test_long_ids_of_json_stay_apart() -> None:
    ids = ["12345678901234567890123456", "12345678901234567890123457"]
    record = '{"id": %s, "algorithm": "MD5", "hash_digest": "%s"}'
    rows = rows_in(f'{{"results": [{record % (ids[0], md5(1))}, {record % (ids[1], md5(2))}]}}')
    assert [row.source_id for row in rows if isinstance(row, HashRow)] == ids


@pytest.mark.parametrize(
    ("line", "kind", "note"),
    [
        (rf"\{md5(1)}  a\\b.jpg", HashKind.MD5, r"a\b.jpg"),
        (rf"\{md5(1)} *two\nlines", HashKind.MD5, "two lines"),
        (f"{md5(1)}  plain.jpg", HashKind.MD5, "plain.jpg"),
        (f"MD5 (a (1).jpg) = {md5(1)}", HashKind.MD5, "a (1).jpg"),
        (f"MD5(a.jpg)= {md5(1)}", HashKind.MD5, "a.jpg"),
        (rf"\SHA256 (a\\b) = {sha256(1)}", HashKind.SHA256, r"a\b"),
        (f"SHA2-256(stdin)= {sha256(1)}", HashKind.SHA256, "stdin"),
        (f"SHA1 (a.jpg) = {sha1(1).upper()}", HashKind.SHA1, "a.jpg"),
    ],
)
def test_lines_of_checksum_programs(line: str, kind: HashKind, note: str) -> None:
    (row,) = rows_in(f"{line}\n")
    assert isinstance(row, HashRow)
    assert (row.kind, row.note) == (kind, note)


def test_checksums_of_a_kind_that_cannot_be_matched_are_told_apart_from_nonsense() -> None:
    rows = rows_in(f"MD5 (a) = {md5(1)}\nSHA512 (a) = {'ab' * 64}\nBLAKE2b (a) = {'cd' * 64}\n")
    assert hashes(rows) == [("md5", md5(1), "active")]
    assert [row.place for row in rows] == ["line 1", "line 2", "line 3"]
    assert len(bad(rows)) == 1

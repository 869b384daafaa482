"""Read the sources of a bulk import: a directory, a CSV file, a list of links, a bucket of S3."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings

from gallery.items import conf
from gallery.items.models import Image
from gallery.net.s3 import BucketObject
from gallery.shared import exact_json
from gallery.shared.errors import UserError

CSV_COLUMNS = ("file", "url", "data_id", "remark", "meta")
MAX_FIELD = 1_000_000
S3 = "s3://"
Place = Path | str | BucketObject


@dataclass(frozen=True)
class Source:
    """One item to add. ``place`` is a file, a link or an object of S3. ``problem`` says why it
    cannot be added.

    ``found``: it comes from a directory or a bucket, where files of other types are skipped.
    """

    name: str
    place: Place = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    found: bool = False


def read_sources(
    target: Path | str, *, prefix: str = "", remark: str | None = None
) -> Iterator[Source]:
    """Yield the pictures in ``target``, in a stable order.

    In a directory, each file's data_id is its relative path. A ``.csv`` file has a header with
    ``file`` or ``url`` and optionally ``data_id``, ``remark`` and ``meta`` (JSON); file paths
    are relative to the CSV file. Any other file is a list of links, one per line; ``#`` starts a
    comment. A text names a bucket, ``s3://BUCKET/PREFIX``: each object's data_id is its key.
    ``prefix`` is put before each data_id, and replaces a missing one. ``remark`` is the default
    remark.

    Raises ``UserError`` if the target as a whole cannot be read.
    """
    if isinstance(target, str):
        rows = _in_bucket(target)
    elif target.is_dir():
        rows = _in_directory(target)
    elif target.suffix.lower() == ".csv":
        rows = _in_csv(target)
    else:
        rows = _in_list(target)
    try:
        for row in rows:
            yield row if row.problem else _completed(row, prefix, remark)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{target} cannot be read as UTF-8 text: {error}.") from error


def _in_directory(directory: Path) -> Iterator[Source]:
    unreadable: list[OSError] = []
    for parent, folders, files in os.walk(directory, onerror=unreadable.append):
        folders.sort()
        for name in sorted(files):
            path = Path(parent, name)
            inside = path.relative_to(directory).as_posix()
            yield Source(inside, path, {"data_id": inside}, found=True)
    for error in unreadable:
        yield Source(
            str(error.filename), problem=f"The directory cannot be read: {error.strerror}."
        )


def _in_bucket(target: str) -> Iterator[Source]:
    name, _, prefix = target.removeprefix(S3).partition("/")
    missing = [
        setting
        for setting in ("S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY")
        if not getattr(settings, setting)
    ]
    if missing or not name:
        raise UserError(
            f"To read {target}, set {', '.join(missing)}."
            if missing
            else f"{target} names no bucket: write {S3}BUCKET or {S3}BUCKET/PREFIX."
        )
    for stored in conf.s3_bucket(name).objects(prefix, conf.fetch_policy()):
        yield Source(stored.name, stored, {"data_id": stored.key}, found=True)


def _in_list(file: Path) -> Iterator[Source]:
    with file.open(encoding="utf-8-sig") as lines:
        for line in lines:
            url = line.strip()
            if url and not url.startswith("#"):
                yield Source(url, url)


def _in_csv(file: Path) -> Iterator[Source]:
    csv.field_size_limit(MAX_FIELD)
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        header = reader.fieldnames or []
        unknown = [name for name in header if name not in CSV_COLUMNS]
        if unknown or not {"file", "url"} & set(header):
            raise UserError(
                f"{file} needs a header with the column file or url, and may have "
                f"{', '.join(CSV_COLUMNS[2:])}; it has {', '.join(header) or 'none'}."
            )
        for row in reader:
            yield _from_row(row, f"line {reader.line_num}", file.parent)


def _from_row(row: Mapping[Any, Any], line: str, directory: Path) -> Source:
    if None in row or None in row.values():
        return Source(line, problem="The row has not as many fields as the header.")
    values = {name: text for name, text in row.items() if text}
    path, url = values.pop("file", ""), values.pop("url", "")
    if bool(path) == bool(url):
        return Source(line, problem="Give either a file or a url.")
    if "meta" in values:
        try:
            values["meta"] = exact_json.loads(values["meta"].encode(errors="surrogatepass"))
        except ValueError as error:
            return Source(path or url, problem=f"meta is not JSON: {error}.")
        if not isinstance(values["meta"], dict):
            return Source(path or url, problem="meta must be a JSON object.")
    return Source(path or url, directory / path if path else url, values)


def _completed(source: Source, prefix: str, remark: str | None) -> Source:
    fields = {"remark": remark, **source.fields}
    fields["data_id"] = prefix + (source.fields.get("data_id") or "") or None
    if isinstance(source.place, str):
        fields["url"] = source.place
    for name, value in fields.items():
        if problem := _problem(name, value):
            return Source(source.name, problem=problem)
    return Source(source.name, source.place, fields, found=source.found)


def _problem(name: str, value: Any) -> str:
    """Return why PostgreSQL could not store the value, or ""."""
    text = orjson.dumps(value).decode() if isinstance(value, dict) else value or ""
    longest = getattr(Image._meta.get_field(name), "max_length", None)
    if longest and len(text) > longest:
        return f"{name} has {len(text)} characters; at most {longest} are stored."
    if "\0" in text or "\\u0000" in text:
        return f"{name} holds a NUL character: remove it."
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{name} is not valid UTF-8: rename it."
    return ""

"""Read the request bodies of the original API, with its names, defaults and 422 answers.

The original validated with pydantic 1. Field errors carry the same ``type`` values, so that
clients can still tell them apart.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from gallery.api.fields import MAX_DATA_ID, MAX_REMARK, MAX_URL
from gallery.shared import exact_json
from gallery.shared.meta import NUL, meta_problem

MAX_LIMIT = 500

Problem = dict[str, Any]


class Malformed(Exception):
    """The body cannot be read. ``problems`` is the ``detail`` of the 422 answer."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(str(problems))
        self.problems = problems


@dataclass(frozen=True)
class AddBody:
    """The body of ``mgr/add``. Absent and null are the same; ``""`` is kept."""

    url: str
    data_id: str | None
    remark: str | None
    meta: dict[str, Any] | None


@dataclass(frozen=True)
class SearchBody:
    """The body of ``search``. Defaults replace absent, null and 0."""

    url: str
    match_type: str | None
    threshold: float
    limit: int


class _Invalid(Exception):
    def __init__(self, message: str, kind: str, **limits: Any) -> None:
        super().__init__(message)
        self.problem = {"msg": message, "type": kind, **({"ctx": limits} if limits else {})}


def parse_add(body: bytes) -> AddBody:
    """Raises ``Malformed`` with all invalid fields."""
    values = _read(
        body,
        {
            "url": (_text(MAX_URL), True),
            "dataId": (_text(MAX_DATA_ID), False),
            "remark": (_text(MAX_REMARK), False),
            "meta": (_mapping, False),
        },
    )
    return AddBody(values["url"], values["dataId"], values["remark"], values["meta"])


def parse_search(body: bytes) -> SearchBody:
    """Raises ``Malformed`` with all invalid fields."""
    values = _read(
        body,
        {
            "url": (_text(MAX_URL), True),
            "matchType": (_text(32), False),
            "threshold": (_number, False),
            "limit": (_limit, False),
        },
    )
    return SearchBody(
        values["url"],
        values["matchType"],
        values["threshold"] or settings.SEARCH_SIMR_THRESHOLD,
        values["limit"] or settings.SEARCH_LIMIT,
    )


def too_large() -> Problem:
    """Return the error for a body above the limit for bodies without files."""
    megabytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 2**20
    return _problem(["body"], f"the body has more than {megabytes} MB", "value_error.too_large")


def _read(body: bytes, fields: dict[str, tuple[Callable[[Any], Any], bool]]) -> dict[str, Any]:
    if not body:
        raise Malformed([_problem(["body"], "field required", "value_error.missing")])
    document = _document(body)
    if not isinstance(document, dict):
        raise Malformed([_problem(["body"], "value is not a valid dict", "type_error.dict")])
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, (read, required) in fields.items():
        raw = document.get(name)
        try:
            if raw is not None:
                values[name] = read(raw)
            elif not required:
                values[name] = None
            elif name in document:
                raise _Invalid("none is not an allowed value", "type_error.none.not_allowed")
            else:
                raise _Invalid("field required", "value_error.missing")
        except _Invalid as error:
            problems.append({"loc": ["body", name], **error.problem})
    if problems:
        raise Malformed(problems)
    return values


def _document(body: bytes) -> Any:
    """Read JSON as the original's FastAPI does: also a BOM, UTF-16 and -32, NaN, Infinity."""
    with contextlib.suppress(ValueError):
        return exact_json.loads(body, int)
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        loc, why = ["body", error.pos], error.msg
    except RecursionError:
        loc, why = ["body"], "the objects and lists are nested too deep"
    # The bytes are in no known encoding, or a number has thousands of digits.
    except ValueError as error:
        loc, why = ["body"], str(error)
    raise Malformed([_problem(loc, why, "value_error.jsondecode")])


def _problem(loc: list[Any], message: str, kind: str) -> Problem:
    return {"loc": loc, "msg": message, "type": kind}


def _text(longest: int) -> Callable[[Any], str]:
    def read(raw: Any) -> str:
        if not isinstance(raw, str | int | float):
            raise _Invalid("str type expected", "type_error.str")
        text = str(raw)
        if "\0" in text:
            raise _Invalid(NUL, "value_error.nul")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise _Invalid("str type expected", "type_error.str")
        if len(text) > longest:
            raise _Invalid(
                f"ensure this value has at most {longest} characters",
                "value_error.any_str.max_length",
                limit_value=longest,
            )
        return text

    return read


def _number(raw: Any) -> float:
    try:
        value = float(raw)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise _Invalid("value is not a valid float", "type_error.float")
    return value


def _limit(raw: Any) -> int:
    try:
        value = int(raw)
    except (TypeError, ValueError, OverflowError):
        raise _Invalid("value is not a valid integer", "type_error.integer") from None
    if value < 0:
        raise _Invalid(
            "ensure this value is greater than or equal to 0",
            "value_error.number.not_ge",
            limit_value=0,
        )
    if value > MAX_LIMIT:
        raise _Invalid(
            f"ensure this value is less than or equal to {MAX_LIMIT}",
            "value_error.number.not_le",
            limit_value=MAX_LIMIT,
        )
    return value


def _mapping(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise _Invalid("value is not a valid dict", "type_error.dict")
    if problem := meta_problem(raw):
        raise _Invalid(problem, "value_error.dict")
    return raw

"""The limits of ``meta``: a JSON object that PostgreSQL stores and returns unchanged."""

from __future__ import annotations

import math
from typing import Any

import orjson

from gallery.shared.exact_json import BITS_64, TooLong

MAX_META_BYTES = 65_536
MAX_META_DEPTH = 64

NUL = "a NUL character cannot be stored; remove it"


def meta_problem(meta: dict[str, Any]) -> str | None:
    """Return why the JSON object cannot be stored unchanged, without a full stop, or None."""
    level: list[Any] = [meta]
    for _ in range(MAX_META_DEPTH + 1):
        if problem := next(filter(None, map(_value_problem, level)), None):
            return problem
        level = [child for value in level for child in _children(value)]
    if level:
        return f"the objects and lists are nested too deep; at most {MAX_META_DEPTH} levels"
    if len(orjson.dumps(meta)) > MAX_META_BYTES:
        return f"ensure this value has at most {MAX_META_BYTES} bytes as JSON"
    return None


def _value_problem(value: Any) -> str | None:
    if isinstance(value, str):
        if "\0" in value:
            return NUL
        if any("\ud800" <= character <= "\udfff" for character in value):
            return "half a character (a lone surrogate) cannot be stored; remove it"
    if isinstance(value, int) and value not in BITS_64:
        return str(TooLong(str(value)))
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN and Infinity cannot be stored; send null or a text"
    return None


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []

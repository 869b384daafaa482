"""What both HTTP APIs accept in the texts and the ``meta`` that go with an image."""

from __future__ import annotations

from typing import Any

import orjson

MAX_URL = 2048
MAX_DATA_ID = MAX_UPLOADER = 255
MAX_REMARK = 10_000
MAX_META_BYTES = 65_536
MAX_META_DEPTH = 64
MAX_BATCH = 100

NUL = "a NUL character cannot be stored; remove it"


def meta_problem(meta: dict[str, Any]) -> str | None:
    """Why a JSON object cannot be stored and given back, without a full stop; None if it can."""
    level: list[Any] = [meta]
    for _ in range(MAX_META_DEPTH + 1):
        if any(isinstance(value, str) and "\0" in value for value in level):
            return NUL
        level = [child for value in level for child in _children(value)]
    if level:
        return f"the objects and lists are nested too deep; at most {MAX_META_DEPTH} levels"
    if len(orjson.dumps(meta)) > MAX_META_BYTES:
        return f"ensure this value has at most {MAX_META_BYTES} bytes as JSON"
    return None


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []

"""The forms of the browsable API, made from the serializers of the requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from django.http import QueryDict
from rest_framework import serializers
from rest_framework.utils.encoders import JSONEncoder

from gallery.api.bodies import FROM_PAGE as FROM_PAGE

LONG_TEXT: Final = 1000
"""Texts that may be longer get a box of several lines."""
CHOOSE: Final = ("", "–")
SPELT: Final = {
    **{"id": "ID", "ids": "IDs", "url": "URL", "pdq": "PDQ"},
    **{"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256"},
}
YES_OR_NO: Final = (("", "Default"), ("true", "Yes"), ("false", "No"))


@dataclass(frozen=True)
class Input:
    """One field of a form. ``value``: its text, or the chosen values. ``kind``: see the template.
    ``placeholder``: what counts if it stays blank."""

    name: str
    kind: str
    value: Any = ""
    help: str = ""
    required: bool = False
    options: tuple[tuple[str, str], ...] = ()
    placeholder: str = ""
    error: str = ""

    @property
    def label(self) -> str:
        words = [SPELT.get(word, word) for word in self.name.split("_")]
        text = " ".join(words)
        return text[0].upper() + text[1:]


@dataclass(frozen=True)
class BodyForm:
    """The form for one method of an address.

    ``query``: fields that are sent in the address. ``inputs``: its fields; None if the body can
    only be sent as JSON. ``json``: the text in the box for JSON; None if there is no such box, as
    the method has no body or needs a file.
    """

    method: str
    title: str
    inputs: list[Input] | None
    json: str | None = None
    error: str = ""
    typed_json: bool = False
    files: bool = False
    query: tuple[Input, ...] = ()


def query_inputs(
    parameters: Iterable[Mapping[str, Any]], given: Mapping[str, str], wrong: str = ""
) -> list[Input]:
    """Return fields for documented parameters of a query. ``given``: the values they have now."""
    return [_query_input(one, given.get(one["name"], ""), wrong) for one in parameters]


def _query_input(parameter: Mapping[str, Any], value: str, wrong: str) -> Input:
    name, shape = parameter["name"], parameter["schema"]
    options: tuple[tuple[str, str], ...] = ()
    match shape:
        case {"enum": values}:
            kind, options = "select", (CHOOSE, *((str(one), str(one)) for one in values if one))
        case {"type": "boolean"}:
            kind, options = "select", (CHOOSE, *YES_OR_NO[1:])
        case {"type": "integer" | "number"}:
            kind = "number"
        case _:
            kind = "text"
    help = parameter.get("description", "").replace("``", "").split("\n\n")[0]
    # Where the schema lists values, its text repeats them.
    help = "" if help.startswith("* ") else help
    default = shape.get("default", "")
    return Input(name, kind, value, help, options=options, placeholder=f"{default}", error=wrong)


def build(
    body: type[serializers.Serializer] | None,
    *,
    method: str,
    title: str,
    saved: Mapping[str, Any],
    query: Iterable[Input] = (),
    typed: Any = None,
    error: Mapping[str, Any] | None = None,
) -> BodyForm:
    """Return the form.

    ``saved``: what is stored now, by field. ``typed``: what was sent and refused, a form or JSON,
    with its ``error``.
    """
    detail = error["detail"] if error else ""
    if body is None:
        return BodyForm(method, title, [], error=detail, query=tuple(query))
    fields = body().fields
    wrong = (error or {}).get("field", "").split(".")[0]
    inputs: list[Input] | None = None
    if not any(isinstance(one, serializers.BaseSerializer) for one in fields.values()):
        form = typed if isinstance(typed, QueryDict) else None
        inputs = [
            _input(name, one, saved, form, detail if name == wrong else "")
            for name, one in sorted(fields.items(), key=_place)
        ]
    as_json = typed is not None and not isinstance(typed, QueryDict)
    files = [one for one in fields.values() if isinstance(one, serializers.FileField)]
    example = typed if as_json else _example(fields, saved)
    shown = inputs is not None and wrong in fields and not as_json
    return BodyForm(
        method,
        title,
        inputs,
        json=None if any(one.required for one in files) else _json(example),
        error="" if shown else detail,
        typed_json=as_json,
        files=bool(files),
        query=tuple(query),
    )


def _place(named: tuple[str, Any]) -> int:
    """Return the sort key: required fields first, then files and links, then all others."""
    name, one = named
    if one.required:
        return 0
    return 1 if isinstance(one, serializers.FileField) or name.endswith("url") else 2


def _json(value: Any) -> str:
    return orjson.dumps(value, default=JSONEncoder().default, option=orjson.OPT_INDENT_2).decode()


def _example(fields: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stored, or else the fields that a request needs."""
    kept = {name: saved[name] for name in fields if name in saved}
    if kept:
        return kept
    asked = [name for name, one in fields.items() if one.required] or [
        name for name in ("url", "a_url", "b_url") if name in fields
    ]
    if not asked and "sha256" in fields:
        asked = ["sha256"]
    return {name: _blank(fields[name]) for name in asked}


def _blank(one: Any) -> Any:
    if isinstance(one, serializers.ListSerializer):
        row: Any = one.child
        return [_example(row.fields, {})]
    if isinstance(one, serializers.ListField):
        return []
    return None if isinstance(one, serializers.IntegerField | serializers.FloatField) else ""


def _input(
    name: str, one: Any, saved: Mapping[str, Any], typed: QueryDict | None, error: str
) -> Input:
    kind, options = _kind(one, has_saved=name in saved)
    multiple = kind == "choices"
    if typed is not None:
        value: Any = typed.getlist(name) if multiple else typed.get(name, "")
    elif name in saved:
        value = _text(kind, saved[name])
    else:
        default = kind == "checkbox" and one.default is True
        value = [] if multiple else ("true" if default else "")
    return Input(
        name=name,
        kind=kind,
        value=value,
        help=str(one.help_text or "").replace("``", ""),
        required=one.required and not saved,
        options=options,
        placeholder=_placeholder(one),
        error=error,
    )


def _kind(one: Any, *, has_saved: bool) -> tuple[str, tuple[tuple[str, str], ...]]:
    match one:
        case serializers.BooleanField():
            # Where no default is known, a box could not show it.
            shows = has_saved or isinstance(one.default, bool)
            return ("checkbox", ()) if shows else ("select", YES_OR_NO)
        case serializers.ListField(child=serializers.ChoiceField() as child):
            return "choices", tuple((str(key), str(text)) for key, text in child.choices.items())
        case serializers.ListField(child=serializers.IntegerField()):
            return "ids", ()
        case serializers.ListField():
            return "lines", ()
        case serializers.ChoiceField():
            options = [(str(key), str(text)) for key, text in one.choices.items() if key != ""]
            first = [] if has_saved and not one.allow_null else [CHOOSE]
            return "select", (*first, *options)
        case serializers.FileField():
            return "file", ()
        case serializers.DateTimeField():
            return "datetime-local", ()
        case serializers.IntegerField() | serializers.FloatField():
            return "number", ()
        case serializers.JSONField():
            return "json", ()
        case _:
            long = (getattr(one, "max_length", None) or 0) > LONG_TEXT
            return ("lines" if long and not name_of_link(one) else "text"), ()


def name_of_link(one: Any) -> bool:
    return str(one.field_name).endswith("url")


def _text(kind: str, value: Any) -> Any:
    match kind, value:
        case "choices", _:
            return [str(part) for part in value]
        case _, None:
            return ""
        case _, bool():
            return "true" if value else "false"
        case "json", _:
            return _json(value)
        case "ids", _:
            return ", ".join(map(str, value))
        case "lines", list():
            return "\n".join(map(str, value))
        case "datetime-local", datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S")
        case "datetime-local", str():
            return value[:19]
        case _:
            return str(value)


def _placeholder(one: Any) -> str:
    default = one.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool)
    return f"{default}" if plain else ""

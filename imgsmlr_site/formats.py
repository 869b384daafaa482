"""Formats of the JSON API: parsers, the JSON renderer, and pagination."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import APIException, NotFound, ParseError, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.parsers import BaseParser, DataAndFiles
from rest_framework.parsers import FormParser as RestFormParser
from rest_framework.parsers import MultiPartParser as RestMultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder

from gallery.shared import exact_json

NUL = "\x00"
NON_FIELD = "non_field_errors"
NUL_SENTENCE = "The text holds a NUL character, which cannot be stored: remove it."


def refuse_nul(value: Any, path: str = "") -> None:
    """Raise ``ValidationError`` if a string or key of a JSON value or form contains a NUL.

    PostgreSQL's text and jsonb cannot store a NUL, so it would cause a 500.
    """
    if isinstance(value, str):
        if NUL in value:
            raise ValidationError({path or NON_FIELD: NUL_SENTENCE}, code="nul_character")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            refuse_nul(key, path)
            refuse_nul(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for item in value:
            refuse_nul(item, path)


def _too_long(body: bytes, message: str) -> APIException:
    long = object()

    def number(digits: str) -> Any:
        try:
            return exact_json.refuse(digits)
        except exact_json.TooLong:
            return long

    value = exact_json.loads(body, number)
    for name, part in value.items() if isinstance(value, dict) else ():
        if any(leaf is long for leaf in _leaves(part)):
            return ValidationError({name: [message]})
    return ParseError(message)


def _leaves(value: Any) -> Iterator[Any]:
    if not isinstance(value, dict | list):
        yield value
        return
    for part in value.values() if isinstance(value, dict) else value:
        yield from _leaves(part)


class JsonParser(BaseParser):
    """Parses JSON with orjson: no NaN, infinity, lone surrogate or NUL, and a limited size."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Decode the body. Raise ``ParseError``, ``ValidationError`` or ``RequestDataTooBig``."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        # REST framework reads the stream itself and so bypasses Django's limit on bodies.
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise RequestDataTooBig
        try:
            value = exact_json.loads(body)
        except exact_json.TooLong as error:
            raise _too_long(body, f"{str(error).capitalize()}.") from None
        except ValueError as error:
            raise ParseError(f"The body is not valid JSON: {error}.") from None
        if b"\\u0000" in body:
            refuse_nul(value)
        return value


class FormParser(RestFormParser):
    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        form = super().parse(stream, media_type, parser_context)
        refuse_nul(dict(form.lists()))
        return form


class MultiPartParser(RestMultiPartParser):
    def parse(
        self, stream: Any, media_type: Any = None, parser_context: Any = None
    ) -> DataAndFiles:
        parsed = super().parse(stream, media_type, parser_context)
        refuse_nul(dict(parsed.data.lists()))
        return parsed


class OrjsonRenderer(JSONRenderer):
    """Renders JSON with orjson; REST framework encodes the types that orjson does not know."""

    def render(
        self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None
    ) -> bytes:
        """Return UTF-8 bytes, indented if the client or the browsable page asks for it."""
        if data is None:
            return b""
        option = orjson.OPT_NON_STR_KEYS
        if self.get_indent(accepted_media_type or "", renderer_context or {}):
            option |= orjson.OPT_INDENT_2
        return orjson.dumps(data, default=JSONEncoder().default, option=option)


class NewestFirst(CursorPagination):
    """Paginates by id, newest first. Every page costs the same, and new rows do not shift pages."""

    ordering = "-id"
    page_size = 20
    max_page_size = 100
    page_size_query_param = "page_size"

    def get_page_size(self, request: Request) -> int:
        """Return the query's ``page_size``, 1 to 100. Raise ``ValidationError``."""
        text = request.query_params.get("page_size", str(self.page_size))
        size = int(text) if re.fullmatch("[0-9]{1,3}", text) else 0
        if not 1 <= size <= self.max_page_size:
            raise ValidationError(
                {"page_size": f"page_size must be a whole number from 1 to {self.max_page_size}."}
            )
        return size

    def decode_cursor(self, request: Request) -> Cursor | None:
        cursor = super().decode_cursor(request)
        if cursor and not re.fullmatch(r"[0-9]{1,19}", str(cursor.position or 0)):
            raise NotFound(self.invalid_cursor_message)
        return cursor

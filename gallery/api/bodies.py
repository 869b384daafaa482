"""Request bodies: a form means what the same fields mean in JSON."""

from __future__ import annotations

import re
from typing import Any, Final

from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.utils import html

FROM_PAGE: Final = "_from_page"
"""A hidden field of the forms of our own pages, which send all their fields, the blank ones too."""


class BodySerializer(serializers.Serializer):
    def to_internal_value(self, data: Any) -> Any:
        """Read a form as the JSON with the same fields.

        REST framework has other defaults for forms: it takes a boolean that is missing as false.
        """
        if html.is_html_input(data):
            data = self._as_json(data)
        return super().to_internal_value(data)

    def _as_json(self, form: Any) -> dict[str, Any]:
        from_page = FROM_PAGE in form
        values = {
            name: self._value(field, form, from_page=from_page)
            for name, field in self.fields.items()
        }
        return {name: value for name, value in values.items() if value is not empty}

    def _value(self, field: serializers.Field, form: Any, *, from_page: bool) -> Any:
        if isinstance(field, serializers.ListField):
            return self._list(field, form)
        if isinstance(field, serializers.BaseSerializer):
            return field.get_value(form)
        value = form.get(field.field_name, empty)
        if value != "" or value is empty:
            return value
        if getattr(field, "allow_blank", False) and not from_page:
            return value
        if not self.partial:
            return empty
        return None if field.allow_null else value

    def _list(self, field: serializers.ListField, form: Any) -> Any:
        """Return the repeated values; a page sends one text with a line for each, or ids with
        commas."""
        values = field.get_value(form)
        if values is empty or not all(isinstance(value, str) for value in values):
            return values
        numbers = isinstance(field.child, serializers.IntegerField)
        separator = r"[\s,]+" if numbers else r"\r?\n"
        found = [part for value in values for part in re.split(separator, value) if part.strip()]
        return found if found or self.partial else empty

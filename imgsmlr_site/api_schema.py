"""The OpenAPI document: what each operation is called, where it belongs, who may send it, and
values to try it with."""

from __future__ import annotations

import inspect
import re
from typing import Any, Final

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample

from imgsmlr_site.authentication import scopes_for
from moderation.access.permissions import LEAST

FORM: Final = "multipart/form-data"
FIRST_ID: Final = 1
"""What a path names unless its view says otherwise: a row that a service with some data has."""

TAGS: Final = (
    ("images/", "Images", "Add, find, compare, change and delete pictures."),
    ("videos/", "Videos", "Add, find, change and delete videos."),
    ("moderation/check/", "Checks", "Ask what the lists say of content that is not stored."),
    ("moderation/lists/{id}/items/", "Items of lists", "What is banned or allowed."),
    ("moderation/lists/{id}/export/", "Imports and exports", "Files of hashes."),
    ("moderation/imports/", "Imports and exports", "Files of hashes."),
    ("moderation/exchanges/", "Exchanges", "Hash exchanges that fill lists."),
    ("moderation/lists/", "Lists", "Lists of banned and allowed content, and their policies."),
    ("moderation/changes/", "Changes of lists", "Changes that wait for a second person."),
    ("moderation/cases/{id}/packet/", "Reports", "Files and numbers about cases."),
    ("moderation/cases/{id}/statement/", "Notices and statements", "What people say and are told."),
    ("moderation/notices/", "Notices and statements", "What people say and are told."),
    ("moderation/cases/", "Cases", "What a person has to decide."),
    ("moderation/batches/", "Decisions", "Decisions that were made together, and undoing them."),
    ("moderation/decisions.csv", "Reports", "Files and numbers about cases."),
    ("moderation/statistics/", "Reports", "Files and numbers about cases."),
    ("moderation/webhooks/", "Webhooks", "Messages to other services."),
    ("status/", "Status", "The state of the service."),
)
"""Beginning of the path → tag and what it is about. The first that fits counts."""


class ApiSchema(AutoSchema):
    """The body of a request is shown with the ``example`` of its serializer, or, as a form, with
    ``form_example``, to which the reader adds the file."""

    def get_tags(self) -> list[str]:
        path = self.path.removeprefix("/api/v1/")
        return [next(name for start, name, _ in TAGS if path.startswith(start))]

    def get_summary(self) -> str | None:
        first, _ = self._said()
        return first.replace("``", "").removesuffix(".") or None

    def get_description(self) -> str:  # type: ignore[override]  # as in AutoSchema
        _, rest = self._said()
        return "\n\n".join(part for part in (rest, self._access()) if part)

    def _said(self) -> tuple[str, str]:
        """Return the first sentence of the method's docstring, and the rest."""
        doc = inspect.getdoc(getattr(self.view, self.method.lower())) or ""
        first, _, rest = re.sub(r"(?<=\.)\s+", "\0", doc, count=1).partition("\0")
        return " ".join(first.split()), rest

    def _access(self) -> str:
        scopes = scopes_for(self.view, self.method)
        said = f"Needs the scope `{scopes[0]}`."
        action = getattr(self.view, "actions", {}).get(self.method)
        if action:
            said += f" Only people and keys that may {action}: from the role"
            said += f" {LEAST[action].name.lower()} up."
        return said

    def get_examples(self) -> list[OpenApiExample]:
        if self.method in ("GET", "DELETE"):
            return []
        found = []
        for media_type, serializer in _bodies(self.get_request_serializer()):
            name = "form_example" if media_type == FORM else "example"
            value = getattr(serializer, name, None)
            if value is not None:
                found.append(
                    OpenApiExample("Example", value=value, media_type=media_type, request_only=True)
                )
        return found

    def _get_parameters(self) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super()._get_parameters()
        for one in parameters:
            # Pages that send requests fill in an ``example``, and not each one of ``examples``.
            if examples := one.pop("examples", None):
                one["example"] = next(iter(examples.values()))["value"]
            elif one["in"] == "path":
                one["example"] = next(iter(one["schema"].get("enum", [])), FIRST_ID)
        return parameters


def _bodies(described: Any) -> list[tuple[str, type]]:
    if not isinstance(described, dict):
        return []
    return [(media_type, one) for media_type, one in described.items() if inspect.isclass(one)]


def add_tags(result: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Say what each tag is about, in order."""
    tags = dict.fromkeys((name, text) for _, name, text in TAGS)
    result["tags"] = [{"name": name, "description": text} for name, text in tags]
    return result

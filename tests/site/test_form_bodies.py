"""A form means what the same JSON means, at every address that takes a body."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client
from rest_framework import serializers

from gallery.api.bodies import FROM_PAGE, BodySerializer
from gallery.shared.errors import UserError
from moderation.access.permissions import Role
from moderation.cases.models import Decision, ReviewCase
from moderation.lists.models import BannedList
from tests.moderation.factories import make_case, make_item, make_list, make_person
from tests.site.api_views import bodies

BODIES = [pytest.param(body, method, id=f"{method} {path}") for path, method, body in bodies()]
FORM = "application/x-www-form-urlencoded"
LISTS = "/api/v1/moderation/lists/"
LINK = "https://pictures.example/a.png"
WAYS: tuple[dict[str, str], ...] = ({}, {"url": LINK}, {"a_url": LINK, "b_url": LINK})
"""What may be needed although no field is required by itself."""
ROW = {"hash", "sha1"}
"""A field of a row of a batch that requires none."""


def example(field: Any) -> Any:
    """A value, as JSON has it."""
    if isinstance(field, serializers.ListSerializer):
        return [minimal(field.child) or {next(iter(ROW & field.child.fields.keys())): LINK}]
    if isinstance(field, serializers.ListField):
        return [example(field.child)]
    if isinstance(field, serializers.ChoiceField):
        return next(iter(field.choices))
    if isinstance(field, serializers.IntegerField | serializers.FloatField):
        return 1
    if isinstance(field, serializers.EmailField):
        return "ada@example.test"
    return LINK if field.field_name == "url" else "text"


def minimal(body: Any) -> dict[str, Any]:
    required = {name: field for name, field in body.fields.items() if field.required}
    return {name: example(field) for name, field in required.items()}


def form_of(given: dict[str, Any], **more: str) -> QueryDict:
    form = QueryDict(mutable=True)
    for name, value in given.items():
        if isinstance(value, list) and isinstance(value[0], dict):
            for key, part in value[0].items():
                form[f"{name}[0]{key}"] = str(part)
        elif isinstance(value, list):
            form.setlist(name, [str(part) for part in value])
        else:
            form[name] = str(value)
    form.update(more)
    return form


def outcome(body: Any, data: Any, *, partial: bool) -> tuple[bool, Any]:
    """Whether it is accepted, and what is stored or wrong."""
    read = body(data=data, partial=partial)
    try:
        accepted = read.is_valid()
        return accepted, read.validated_data if accepted else read.errors
    except UserError as error:
        return False, error.message


@pytest.mark.parametrize(("body", "method"), BODIES)
def test_a_form_stores_what_json_stores(body: type[BodySerializer], method: str) -> None:
    partial = method == "PATCH"
    assert issubclass(body, BodySerializer)
    required = {} if partial else minimal(body())
    accepted = 0
    for way in WAYS:
        given = {**required, **way}
        by_json = outcome(body, given, partial=partial)
        assert outcome(body, form_of(given), partial=partial) == by_json
        accepted += by_json[0]
        if not partial:
            blank = {name: "" for name in body().fields if name not in given}
            page = form_of(given, **blank, **{FROM_PAGE: "1"})
            assert outcome(body, page, partial=False) == by_json
    # Only a body that must have a file is never complete here.
    assert accepted or any(
        isinstance(field, serializers.FileField) and field.required
        for field in body().fields.values()
    )


def test_what_a_page_clears_is_null_or_empty(db: None) -> None:
    views = {(path, method): body for path, method, body in bodies()}
    change = views["api/v1/images/<int:pk>/", "PATCH"]
    page = form_of({"remark": "", FROM_PAGE: "1"})
    assert outcome(change, page, partial=True) == (True, {"remark": None})
    assert outcome(change, form_of({"remark": ""}), partial=True) == (True, {"remark": ""})
    change = views["api/v1/moderation/lists/<int:pk>/items/<int:item>/", "PATCH"]
    page = form_of({"note": "", "tags": "", FROM_PAGE: "1"})
    assert outcome(change, page, partial=True) == (True, {"note": "", "tags": []})


def test_texts_are_read_as_lists(db: None) -> None:
    views = {(path, method): body for path, method, body in bodies()}
    retire = views["api/v1/moderation/lists/<int:pk>/items/retire/", "POST"]
    _, read = outcome(retire, form_of({"ids": "3, 4\r\n5", "reason": "x"}), partial=False)
    assert read["ids"] == [3, 4, 5]
    _, wrong = outcome(retire, form_of({"ids": "3, four", "reason": "x"}), partial=False)
    assert wrong["ids"][1][0].code == "invalid"
    change = views["api/v1/moderation/lists/<int:pk>/items/<int:item>/", "PATCH"]
    assert outcome(change, form_of({"tags": "a, b\r\n\r\nc"}), partial=True) == (
        True,
        {"tags": ["a, b", "c"]},
    )


@pytest.fixture
def lead(client: Client, db: None) -> Client:
    user: User = make_person(Role.LEAD)
    client.force_login(user)
    return client


@pytest.mark.parametrize("kind", [FORM, "multipart/form-data; boundary=B", "application/json"])
def test_a_list_with_only_a_name(lead: Client, kind: str) -> None:
    texts = {
        FORM: "name=new",
        "application/json": '{"name": "new"}',
    }
    multipart = '--B\r\nContent-Disposition: form-data; name="name"\r\n\r\nnew\r\n--B--\r\n'
    answer = lead.post(LISTS, texts.get(kind, multipart), content_type=kind)
    assert answer.status_code == 201
    row = BannedList.objects.get()
    assert (row.action, row.enabled) == ("shadow", True)
    assert (answer.json()["severity"], row.two_person) == ("medium", False)


@pytest.mark.parametrize(
    ("form", "looked"), [("verb=dismiss", False), ("verb=dismiss&looked=true", True)]
)
def test_a_decision(lead: Client, form: str, looked: bool) -> None:
    case: ReviewCase = make_case(make_item(make_list()))
    path = f"/api/v1/moderation/cases/{case.pk}/decide/"
    assert lead.post(path, form.replace("dismiss", ""), content_type=FORM).status_code == 400
    assert lead.post(path, form, content_type=FORM).status_code == 201
    assert Decision.objects.get().looked == looked

"""v1 of imports: an applied one is undone."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from imgsmlr_site.models import ApiKey
from moderation.access.permissions import Role
from moderation.tasks import run_import
from tests.moderation.factories import make_list, make_person

pytestmark = pytest.mark.django_db
PATH = "/api/v1/moderation/imports/"


def test_an_import_is_undone_once_with_a_reason() -> None:
    def api(role: Role, scope: str = "lists") -> Client:
        key = ApiKey.issue(name=f"{role} {scope}", scopes=[scope], user=make_person(role))[1]
        return Client(headers={"x-api-key": key})

    lead, on = api(Role.LEAD), make_list()
    file = SimpleUploadedFile("a.csv", f"hash,kind\n{'a1' * 16},md5\n".encode())
    made = lead.post(PATH, {"list": on.pk, "file": file})
    assert made.status_code == 202, made.content
    pk = made.json()["id"]
    undo = f"{PATH}{pk}/undo/"
    assert lead.post(undo, {"reason": "too early"}).status_code == 409
    run_import(pk)
    assert on.items.get().state == "active"
    assert lead.post(undo).json()["field"] == "reason"
    for client in (api(Role.MODERATOR), api(Role.LEAD, "moderate")):
        assert client.post(undo, {"reason": "x"}).status_code == 403
    undone = lead.post(undo, {"reason": "the wrong file"})
    assert undone.status_code == 200
    assert undone.json()["undone_by"].startswith("key:")
    assert on.items.get().state == "retired"
    assert lead.post(undo, {"reason": "again"}).status_code == 409
    assert lead.post(f"{PATH}{10**6}/undo/", {"reason": "x"}).status_code == 404

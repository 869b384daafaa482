"""The OpenAPI document of moderation: whole, and what the service does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import given
from hypothesis.errors import Unsatisfiable
from requests.structures import CaseInsensitiveDict
from schemathesis import GenerationMode

from imgsmlr_site.models import ApiKey, Scope
from moderation import urls
from tests.examples import examples
from tests.gallery.api.test_schema import (
    CHECKS,
    KEY_HEADERS,
    MODERATION,
    MOSTLY,
    api_schema,
    operation,
)
from tests.moderation.factories import make_item, make_list

__all__ = ["api_schema"]

pytestmark = pytest.mark.django_db

LISTS = f"{MODERATION}lists/"
WRITTEN = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"


def _operations() -> list[str]:
    """Method and path of everything that the written document says of moderation.

    Making it would take each worker a second before its first test; `make check` compares it.
    """
    found, path = [], ""
    for line in WRITTEN.read_text().splitlines():
        if match := re.fullmatch(r"  (/\S+):|    (get|post|put|patch|delete):", line):
            path = match[1] or path
            if match[2] and path.startswith(MODERATION):
                found.append(f"{match[2].upper()} {path}")
    return found


OPERATIONS = _operations()


@pytest.fixture
def here(db: None) -> dict[str, int]:
    """Rows to aim at, by the name of the path's parameter."""
    row = make_list("here")
    item = make_item(row, ("sha256", "a1" * 32), ("pdq", "b2" * 32, 80))
    return {"id": row.pk, "item": item.pk}


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("label", OPERATIONS)
def test_the_service_keeps_to_its_schema(
    api_schema: Any,
    here: dict[str, int],
    label: str,
    mode: Any,
) -> None:
    """Requests that fit the schema and requests that do not: no answer may be a surprise."""
    user = User.objects.create_superuser("root")
    _, key = ApiKey.issue(name="all", scopes=Scope.values, user=user)

    @given(case=operation(label).as_strategy(generation_mode=mode), aimed=MOSTLY)
    @examples(5)
    def send(case: schemathesis.Case, aimed: bool) -> None:
        if aimed:
            # Chance would hardly ever send a valid key, nor name a row that is there.
            rest = {name: case.headers[name] for name in case.headers if name not in KEY_HEADERS}
            case.headers = CaseInsensitiveDict({**rest, "Authorization": f"Bearer {key}"})
            if label.partition(" ")[2].startswith(LISTS):
                case.path_parameters = {**case.path_parameters, **_known(case, here)}
        case.call_and_validate(checks=CHECKS)

    try:
        send()
    except Unsatisfiable:
        pytest.fail("every operation of moderation can be sent wrong")


def _known(case: schemathesis.Case, here: dict[str, int]) -> dict[str, int]:
    return {name: here[name] for name in case.path_parameters.keys() & here.keys()}


def test_every_path_is_in_the_schema(client: Client) -> None:
    paths = client.get("/api/schema/?format=json").json()["paths"]
    routes = {str(route.pattern) for route in urls.urlpatterns}
    names = {"pk": "id"}
    expected = {
        MODERATION + re.sub(r"<\w+:(\w+)>", lambda m: f"{{{names.get(m[1], m[1])}}}", route)
        for route in routes
    }
    assert {path for path in paths if path.startswith(MODERATION)} == expected


def test_refusals_are_documented(client: Client) -> None:
    paths = client.get("/api/schema/?format=json").json()["paths"]
    for path, operations in paths.items():
        if "{id}" in path and path.startswith(MODERATION):
            assert all("404" in operation["responses"] for operation in operations.values())
    assert "409" in paths[LISTS]["post"]["responses"]

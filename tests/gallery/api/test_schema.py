"""The OpenAPI document: it is made without warnings, and the service does what it says."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from hypothesis import given, strategies
from hypothesis.errors import Unsatisfiable
from requests.structures import CaseInsensitiveDict
from schemathesis import GenerationMode
from schemathesis.checks import CheckContext
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gallery.api import urls as image_urls
from gallery.items.models import Image
from tests import factories as make
from tests.examples import examples
from videos.api import urls as video_urls
from videos.models import Video


def no_internal_error(ctx: CheckContext, response: Any, case: Any) -> None:
    """503 says what to set up; a 500 says that nobody thought of it."""
    assert response.status_code != 500


CHECKS = [
    no_internal_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@functools.cache
def service() -> Any:
    """The service as this machine meets it."""
    application = get_wsgi_application()

    def from_here(environ: dict[str, Any], start_response: Any) -> Any:
        return application({**environ, "REMOTE_ADDR": "127.0.0.1"}, start_response)

    return from_here


@functools.cache
def document() -> Any:
    """What the service says of itself, asked once."""
    return schemathesis.openapi.from_wsgi("/api/schema/?format=json", service())


@functools.cache
def operation(label: str) -> Any:
    """Of the document, by method and path."""
    return next(
        found.ok() for found in document().get_all_operations() if found.ok().label == label
    )


@pytest.fixture
def api_schema(open_api: None, db: None) -> Iterator[Any]:
    """The service as a local client meets it, with two images and a video."""
    make.add_ready_image(make.photo(1), data_id="a", meta={"k": 1})
    make.add_pending_image(make.photo(2))
    made_up = {"md5": "0" * 32, "format": "mp4", "width": 640, "height": 360, "bytes": 1}
    Video.objects.create(**made_up, status="ready", added_by="tests")
    # The test's transaction lives in this connection, so requests must not close it.
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield document()
    for signal in signals:
        signal.connect(close_old_connections)


MOSTLY = strategies.sampled_from([True, True, True, False])
KEY_HEADERS = {"Authorization", "X-API-Key"}
MODERATION = "/api/v1/moderation/"
"""Has its own test, with lists and cases to aim at."""
OPERATIONS = [
    "GET /api/v1/images/",
    "POST /api/v1/images/",
    "DELETE /api/v1/images/",
    "GET /api/v1/images/{id}/",
    "PATCH /api/v1/images/{id}/",
    "DELETE /api/v1/images/{id}/",
    "POST /api/v1/images/batch/",
    "POST /api/v1/images/compare/",
    "POST /api/v1/images/search/",
    "POST /api/v1/images/shared/",
    "GET /api/v1/images/shared/{token}/",
    "GET /api/v1/status/",
    "GET /api/v1/videos/",
    "POST /api/v1/videos/",
    "DELETE /api/v1/videos/",
    "GET /api/v1/videos/{id}/",
    "PATCH /api/v1/videos/{id}/",
    "DELETE /api/v1/videos/{id}/",
    "GET /api/v1/videos/{id}/similar/",
    "POST /api/v1/videos/search/",
    "POST /api/v1/videos/shared/",
]


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("label", OPERATIONS)
def test_the_service_keeps_to_its_schema(api_schema: Any, label: str, mode: Any) -> None:
    """Requests that fit the schema and requests that do not: no answer may be a surprise."""
    kind = Video if "videos" in label else Image
    item = kind.objects.get(status="ready").pk

    @given(case=operation(label).as_strategy(generation_mode=mode), aimed=MOSTLY)
    @examples(8)
    def send(case: schemathesis.Case, aimed: bool) -> None:
        if aimed:
            # Chance would hardly ever send a valid key, nor name an item that is there.
            case.headers = CaseInsensitiveDict(
                {name: case.headers[name] for name in case.headers if name not in KEY_HEADERS}
            )
            if "id" in case.path_parameters:
                case.path_parameters["id"] = item
            if isinstance(case.body, dict) and "id" in case.body:
                case.body = {"id": item}
        case.call_and_validate(checks=CHECKS)

    try:
        send()
    except Unsatisfiable:
        # Nothing in this operation can be sent wrong.
        assert mode is GenerationMode.NEGATIVE
        assert label == "GET /api/v1/status/"


def test_every_operation_is_tried(api_schema: Any) -> None:
    labels = [found.ok().label for found in api_schema.get_all_operations()]
    assert sorted(label for label in labels if MODERATION not in label) == sorted(OPERATIONS)


def test_the_schema_is_made_without_warnings(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", tmp_path / "openapi.yaml")


def test_every_path_of_v1_is_in_the_schema(client: Client) -> None:
    paths = client.get("/api/schema/?format=json").json()["paths"]
    every = [*image_urls.urlpatterns, *video_urls.urlpatterns]
    # Files of a video are served by views that are no part of the schema.
    routes = {str(route.pattern) for route in every if hasattr(route.callback, "view_class")}
    documented = {
        path.removeprefix("/api/v1/").replace("{id}", "<int:pk>").replace("{token}", "<str:token>")
        for path in paths
        if not path.startswith(MODERATION)
    }
    assert documented == {*routes, "status/"}


def test_refusals_are_documented(client: Client) -> None:
    paths = client.get("/api/schema/?format=json").json()["paths"]
    for operations in paths.values():
        for method, operation in operations.items():
            refusals = {"400", "401", "403", "406", "429"}
            if method in ("post", "patch"):
                refusals |= {"413", "415"}
            assert refusals <= operation["responses"].keys()
    for kind in ("images", "videos"):
        assert "409" in paths[f"/api/v1/{kind}/"]["post"]["responses"]
        assert "503" in paths[f"/api/v1/{kind}/search/"]["post"]["responses"]
        assert all("404" in op["responses"] for op in paths[f"/api/v1/{kind}/{{id}}/"].values())


@pytest.mark.usefixtures("plain_static_files")
def test_the_browsable_pages(client: Client) -> None:
    image = make.add_ready_image()
    for path in ("images/", f"images/{image.pk}/", "images/search/", "images/batch/", "status/"):
        page = client.get(f"/api/v1/{path}", headers={"Accept": "text/html"})
        assert page.status_code in (200, 405)
        assert page["Content-Type"].startswith("text/html")
    assert client.get("/api/docs/").status_code == 200


def test_other_representations_are_refused(client: Client) -> None:
    answer = client.get("/api/v1/images/", headers={"Accept": "text/csv"})
    assert answer.status_code == 406
    assert answer.json()["code"] == "not_acceptable"

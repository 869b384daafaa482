"""The gate of S3: events as MinIO sends them, objects in a real server, signed requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from django.test import Client
from PIL import ImageOps

from gallery.net.s3_signing import SigningKey, signed_link
from imgsmlr_site.models import ApiKey
from moderation.audit.models import AuditEvent
from moderation.cases.models import ReviewCase
from moderation.lists import item_adding
from moderation.lists.verdicts import Action
from tests.factories import jpeg, wheel_photo
from tests.httpserver import HttpServer, Reply
from tests.moderation.factories import ADMIN, make_list
from tests.storage import Storage

pytestmark = pytest.mark.django_db
PATH = "/gate/s3"
KEY = "cats/a picture+1.jpg"


@pytest.fixture(autouse=True)
def _on(settings: Any) -> None:
    settings.S3_GATE = "block"
    settings.S3_BUCKETS = ["uploads"]
    settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY = "key", "secret"
    settings.S3_ENDPOINT = "http://127.0.0.1:9"


@pytest.fixture
def gate() -> Client:
    """MinIO sends its ``auth_token`` so."""
    key = ApiKey.issue(name="minio", scopes=["check"])[1]
    return Client(headers={"authorization": f"Bearer {key}"})


def event(key: str, name: str = "s3:ObjectCreated:Put", bucket: str = "uploads") -> dict[str, Any]:
    described = {"key": quote_plus(key), "size": 1, "eTag": "e", "contentType": "image/jpeg"}
    record = {
        "eventVersion": "2.0",
        "eventName": name,
        "s3": {"bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": described},
    }
    return {"EventName": name, "Key": f"{bucket}/{key}", "Records": [record]}


def send(gate: Client, message: Any) -> Any:
    return gate.post(PATH, message, content_type="application/json")


def outcome(gate: Client, key: str = KEY) -> str:
    answer = send(gate, event(key))
    assert answer.status_code == 200, answer.content
    (told,) = answer.json()["objects"]
    assert told["object"] == f"s3://uploads/{key}"
    return str(told["outcome"])


@pytest.mark.slow
def test_objects_are_tagged_or_deleted(storage: Storage, gate: Client, settings: Any) -> None:
    settings.S3_ENDPOINT = storage.url
    row = make_list("cats")
    picture = wheel_photo("chelsea.png")
    item_adding.add_picture(by=ADMIN, list_id=row.pk, data=jpeg(picture))
    other = jpeg(wheel_photo("coffee.png"))

    name = f"uploads/{quote(KEY)}"
    storage.put(name, jpeg(ImageOps.mirror(picture)), tags="owner=ana")
    storage.put("uploads/other.jpg", other)
    storage.put("uploads/notes.txt", b"no picture")
    assert outcome(gate) == "refused"
    assert "<Key>owner</Key><Value>ana</Value>" in storage.tags(name)
    assert "<Key>imgsmlr</Key><Value>refused</Value>" in storage.tags(name)
    assert outcome(gate, "other.jpg") == "accepted"
    assert "<Value>accepted</Value>" in storage.tags("uploads/other.jpg")
    case = ReviewCase.objects.get()
    assert case.evidence["url"] == f"s3://uploads/{KEY}"
    refused = AuditEvent.objects.get(verb="gate.object_tagged")
    assert (refused.actor, refused.subject_id) == ("key:minio", case.pk)

    settings.S3_REFUSED = "delete"
    assert outcome(gate) == "deleted"
    assert not storage.has(name)
    assert outcome(gate) == "gone"
    assert outcome(gate, "notes.txt") == "refused", "not compared: tagged, and kept"
    assert storage.has("uploads/notes.txt")
    settings.S3_FAILURE = "open"
    assert outcome(gate, "notes.txt") == "accepted"
    assert AuditEvent.objects.filter(verb="gate.object_deleted").count() == 1

    row = make_list("mugs", Action.REVIEW)
    item_adding.add_picture(by=ADMIN, list_id=row.pk, data=other)
    assert outcome(gate, "other.jpg") == "accepted"
    settings.S3_GATE = "review"
    assert outcome(gate, "other.jpg") == "deleted"


def test_a_storage_that_fails_is_asked_again_later(gate: Client, settings: Any) -> None:
    """Not a success: MinIO keeps the event and sends it again."""
    answer = send(gate, event(KEY))
    assert answer.status_code == 503
    assert f"s3://uploads/{KEY}" in answer.json()["detail"]
    tags = b"<Tagging><TagSet/></Tagging>"
    with HttpServer({"/uploads/a.jpg": tags}) as server:
        settings.S3_ENDPOINT = server.url
        server.routes["/uploads/a.jpg"] = Reply(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>")
        assert "no XML" in send(gate, event("a.jpg")).json()["detail"]
        server.routes["/uploads/a.jpg"] = Reply(status=302, headers={"Location": "/uploads/b.jpg"})
        assert send(gate, event("a.jpg")).status_code == 503
        assert "/uploads/b.jpg" not in {request.path for request in server.requests}


def test_what_is_no_upload(gate: Client, client: Client, settings: Any) -> None:
    assert client.post(PATH, event(KEY), content_type="application/json").status_code == 401
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"}
    # That a tag was set is an event too: an answer with a tag would never end.
    for message in (
        test,
        event(KEY, "s3:ObjectRemoved:Delete"),
        event(KEY, "s3:ObjectCreated:PutTagging"),
    ):
        answer = send(gate, message)
        assert (answer.status_code, answer.json()) == (200, {"objects": []})
    for message, sentence in (
        ("no JSON", "event of S3"),
        ([1], "event of S3"),
        ({"Records": 1}, "event of S3"),
        ({"Records": [{}] * 101}, "up to 100"),
        ({"Records": [7]}, "s3.object.key"),
        ({"Records": [{"eventName": "x", "s3": {"bucket": 1}}]}, "s3.object.key"),
        (event(KEY, bucket="secrets"), "secrets is not in S3_BUCKETS"),
        (event("../secrets/a.jpg"), "the parts . or .."),
        (event("a/./b.jpg"), "the parts . or .."),
        (event(""), "empty"),
    ):
        answer = send(gate, message)
        assert answer.status_code == 400
        assert sentence in answer.json()["detail"]
    settings.S3_ENDPOINT = ""
    answer = send(gate, event(KEY))
    assert (answer.status_code, answer.json()["detail"]) == (
        503,
        "This gate is not set up: set S3_ENDPOINT.",
    )
    settings.S3_GATE = "off"
    assert send(gate, event(KEY)).status_code == 404


def test_the_signature_of_the_manual() -> None:
    """The example of Amazon's manual, "Authenticating Requests: Using Query Parameters"."""
    link = signed_link(
        "GET",
        "https://examplebucket.s3.amazonaws.com/test.txt",
        SigningKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"),
        seconds=86_400,
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert link.endswith(
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )

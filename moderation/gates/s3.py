"""The gate of S3: object storage tells of new objects (MinIO, Ceph and others, as a webhook).

The message comes when an object is stored already. Each checked object is tagged with the outcome,
so that a policy of the bucket can keep from readers what is not tagged as accepted. An answer that
is no success makes the storage send the message again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import unquote_plus

import orjson
from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.facades import AnyBytes
from gallery.net.transport import FetchFailed
from gallery.shared.access import access_of
from gallery.shared.errors import UserError
from moderation.access.permissions import Actor
from moderation.gates import policies
from moderation.gates.acting import record
from moderation.gates.policies import Gate, Judged
from moderation.gates.s3_objects import Gone, StoredObject
from moderation.pipeline.check import CheckRequest

COST: Final = 3
MOST_RECORDS: Final = 100
NEW: Final = ("Put", "Post", "Copy", "CompleteMultipartUpload")
"""Events of content. That a tag was set is an event too, which must not be answered with a tag."""


@extend_schema(exclude=True)
class S3(APIView):
    name = "Gate of S3"
    scope: ClassVar[str] = "check"
    throttle_cost = COST
    parser_classes = (AnyBytes,)
    renderer_classes = (JSONRenderer,)

    def post(self, request: Request) -> Response:
        """Check the objects of a message, and tag or delete them."""
        gate = policies.s3()
        gate.check_works()
        objects = stored_objects(request.data)
        access = access_of(request)
        access.charge(COST * max(0, len(objects) - 1))
        by = Actor.caller(access)
        answers = [{"object": one.name, "outcome": handled(gate, by, one)} for one in objects]
        return Response({"objects": answers})


def stored_objects(body: object) -> list[StoredObject]:
    """Return the new objects of a message. Raises ``UserError``."""
    try:
        message = orjson.loads(body if isinstance(body, bytes) else b"")
    except ValueError:
        raise UserError("Send an event of S3 as JSON.") from None
    if isinstance(message, Mapping) and message.get("Event") == "s3:TestEvent":
        return []
    records = message.get("Records") if isinstance(message, Mapping) else None
    if not isinstance(records, list) or len(records) > MOST_RECORDS:
        raise UserError(f"Send an event of S3: JSON with up to {MOST_RECORDS} Records.")
    return [one for record in records if (one := _object(record)) is not None]


def _object(record: Any) -> StoredObject | None:
    """Return the object of a record, or None if the record tells of no new content."""
    try:
        event = str(record["eventName"]).removeprefix("s3:")
        bucket = str(record["s3"]["bucket"]["name"])
        described = record["s3"]["object"]
        key, version = str(described["key"]), str(described.get("versionId") or "")
    except (TypeError, KeyError, AttributeError):
        raise UserError(
            "A record of an S3 event has eventName, s3.bucket.name and s3.object.key."
        ) from None
    if event not in {f"ObjectCreated:{name}" for name in NEW}:
        return None
    if bucket not in settings.S3_BUCKETS:
        raise UserError(f"The bucket {bucket} is not in S3_BUCKETS.")
    name = unquote_plus(key)
    # A link with such parts leads to another object, perhaps of another bucket.
    if not name or {".", ".."} & set(name.split("/")):
        raise UserError("An object whose key is empty, or has the parts . or .., is not checked.")
    return StoredObject(bucket, name, "" if version == "null" else version)


def handled(gate: Gate, by: Actor, stored: StoredObject) -> str:
    """Check an object, then tag or delete it. Returns accepted, refused, deleted or gone.

    Raises ``Unavailable`` if the storage does not let it be changed.
    """
    try:
        judged = _judged(gate, by, stored)
        deletes = judged.is_refused and judged.compared and settings.S3_REFUSED == "delete"
        if deletes:
            stored.delete()
        else:
            stored.tag(str(judged.outcome.value))
    except Gone:
        return "gone"
    if judged.is_refused:
        verb = "gate.object_deleted" if deletes else "gate.object_tagged"
        record(by, verb, judged, {"what": stored.name, "compared": judged.compared})
    return "deleted" if deletes else str(judged.outcome.value)


def _judged(gate: Gate, by: Actor, stored: StoredObject) -> Judged:
    try:
        data = stored.read()
    except FetchFailed:
        return gate.without_comparison()
    return gate.judge(by=by, request=CheckRequest(data=data, source=stored.name))

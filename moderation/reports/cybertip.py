"""Drafts of CyberTipline reports: what is known of a confirmed case, in the schema's order.

A draft is only ever downloaded, never sent. What the service cannot know is left out and listed, so
that whoever reports completes it. That somebody viewed the file is said only if the audit has a
look at it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree  # only writes

import orjson
from django.db import transaction
from django.db.models import Q

from gallery.items.models import Image
from gallery.shared.errors import Conflict
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.audit.models import AuditEvent
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.cases.states import CaseState
from moderation.cases.wellbeing import SEEN
from moderation.lists.verdicts import HASH_TYPES
from videos.models import Video

ACTION: Final = "draft reports to authorities"
INCIDENT_TYPE: Final = "Child Pornography (possession, manufacture, and distribution)"
CASE: Final = "moderation.reviewcase"
SCHEMA: Final = "https://report.cybertip.org/ispws/xsd"
INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
README: Final = """Draft of a CyberTipline report about case {case}. It was not sent.

report.xml        what /submit takes
file_details.xml  what /fileinfo takes, once the file was uploaded
looks.json        the audit events that prove that the file was viewed, with their digests

Still missing:
{missing}

Check everything: whoever sends it answers for it. The order of elements is that of the schema.
"""


@dataclass(frozen=True)
class Draft:
    """``looks``: the events of the audit that prove that a person viewed the file."""

    report: bytes
    file_details: bytes
    looks: Sequence[AuditEvent]
    missing: Sequence[str]


def draft(*, by: Actor, case_id: int) -> Draft:
    """Raise ``NotAllowed``, ``NotFound``, and ``Conflict`` unless the case is confirmed."""
    check(by, ACTION)
    case = ReviewCase.objects.select_related("image", "video").existing(case_id)
    if case.state != CaseState.CONFIRMED:
        raise Conflict(f"Case {case.pk} is not confirmed: only confirmed cases are reported.")
    looks = _looks(case)
    return Draft(_report(case), _file_details(case, viewed=bool(looks)), looks, _missing(case))


@transaction.atomic
def download(*, by: Actor, case_id: int) -> bytes:
    """Return a draft as a zip. This is an event of the audit."""
    made = draft(by=by, case_id=case_id)
    missing = "\n".join(f"- {one}" for one in made.missing)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packet:
        packet.writestr("README.txt", README.format(case=case_id, missing=missing))
        packet.writestr("report.xml", made.report)
        packet.writestr("file_details.xml", made.file_details)
        packet.writestr("looks.json", _proof(made.looks))
    trail.record(
        by=by.name,
        verb="case.cybertip_drafted",
        subject=ReviewCase.objects.get(pk=case_id),
        after={"looks": [one.pk for one in made.looks]},
    )
    return out.getvalue()


def _looks(case: ReviewCase) -> list[AuditEvent]:
    """Return the looks at the whole file: a still shown clearly, a video played, and of a file of
    several pictures the original alone.

    Downloads prove no look, and a look at the item that matched is none at the upload.
    """
    rows = Q(subject=CASE, subject_id=case.pk)
    if case.image_id:
        rows |= Q(subject=Image._meta.label_lower, subject_id=case.image_id)
    if case.video_id:
        rows |= Q(subject=Video._meta.label_lower, subject_id=case.video_id)
    events = AuditEvent.objects.filter(rows, verb=SEEN).order_by("id")
    return [one for one in events if _shows_whole((one.after or {}).get("what", ""), case)]


def _shows_whole(what: str, case: ReviewCase) -> bool:
    if case.video_id:
        return what == "video"
    moves = case.image is not None and _other_pictures(case.image)
    return what == "original" if moves else what in ("subject", "original")


def _other_pictures(image: Image) -> bool:
    return bool(image.fingerprints.filter(view__regex="^(frame|picture|video)").exists())


def _report(case: ReviewCase) -> bytes:
    known = case.evidence
    root = _root("report")
    incident = _add(root, "incidentSummary")
    _add(incident, "incidentType", INCIDENT_TYPE)
    _add(incident, "incidentDateTime", _incident_at(case))
    _add(incident, "incidentDateTimeDescription", "When the file came to the service, or the case "
         "was opened.")  # fmt: skip
    if known.get("url"):
        page = _add(_add(root, "internetDetails"), "webPageIncident")
        _add(page, "url", known["url"])
    if known.get("uploader"):
        person = _add(root, "personOrUserReported")
        _add(person, "espIdentifier", known["uploader"])
    lists = CaseMatch.objects.filter(case=case).values_list("list_name", flat=True)
    names = ", ".join(dict.fromkeys(lists.order_by("pk")))
    matched = f" It matched the lists: {names}." if names else ""
    named = f" The id of the upload: {known['data_id']}." if known.get("data_id") else ""
    _add(root, "additionalInfo", f"Case {case.pk}.{named}{matched}")
    return _written(root)


def _file_details(case: ReviewCase, *, viewed: bool) -> bytes:
    known = case.evidence
    root = _root("fileDetails")
    _add(root, "uploadedToEspTimestamp", _incident_at(case))
    if known.get("url"):
        _add(root, "locationOfFile", known["url"])
    _add(root, "fileViewedByEsp", _yes(viewed))
    _add(root, "exifViewedByEsp", _yes(False))
    _add(root, "publiclyAvailable", _yes(_was_public(case)))
    _add(root, "fileRelevance", "Reported")
    for kind in HASH_TYPES:
        if known.get(kind):
            _add(root, "originalFileHash", known[kind]).set("hashType", kind.upper())
    return _written(root)


def _missing(case: ReviewCase) -> list[str]:
    known = case.evidence
    found = [
        "reporter: reportingPerson with name and e-mail, between internetDetails and "
        "personOrUserReported",
        "ipCaptureEvent: the address from which the file was uploaded, and when",
        "industryClassification: A1, A2, B1 or B2, by whoever has viewed the file",
        "originalFileName: this service does not keep the names of files",
        "reportId and fileId: NCMEC answers with them when the report and the file are sent",
    ]
    if not known.get("uploader"):
        found.append("personOrUserReported: who uploaded it was not told to this service")
    if not known.get("url"):
        found.append("internetDetails: no address of the file is known")
    if not any(known.get(kind) for kind in HASH_TYPES):
        found.append("originalFileHash: no hash of the file is known")
    if not _looks(case):
        found.append("a look at the whole file by a person: the audit has none")
    return found


def _was_public(case: ReviewCase) -> bool:
    """Return whether the audit says that the upload was ever published or released."""
    subject = case.image or case.video
    if subject is None:
        return False
    kind = subject._meta.model_name
    verbs = [f"{kind}.published", f"{kind}.released"]
    rows = AuditEvent.objects.filter(subject=subject._meta.label_lower, subject_id=subject.pk)
    return rows.filter(verb__in=verbs).exists()


def _incident_at(case: ReviewCase) -> str:
    subject = case.image or case.video
    return (subject.created_at if subject else case.created_at).isoformat(timespec="seconds")


def _proof(looks: Sequence[AuditEvent]) -> bytes:
    rows = [
        {"event": one.pk, "at": one.at, "by": one.actor, "what": one.after, "digest": one.digest}
        for one in looks
    ]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2)


def _root(name: str) -> ElementTree.Element:
    schema = {f"{{{INSTANCE}}}noNamespaceSchemaLocation": SCHEMA}
    return ElementTree.Element(name, schema)


def _add(parent: ElementTree.Element, name: str, text: Any = None) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, name)
    if text is not None:
        # XML knows no control characters, not even escaped ones.
        child.text = "".join(c for c in str(text) if c >= " " or c in "\t\n")
    return child


def _written(root: ElementTree.Element) -> bytes:
    ElementTree.register_namespace("xsi", INSTANCE)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written


def _yes(value: bool) -> str:
    return "true" if value else "false"

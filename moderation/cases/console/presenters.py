"""What pages show of a case: its subject, its matches with distances, earlier decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.db.models import Count, F, Prefetch, Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from gallery.imaging.decoding.rendered_pictures import (
    VIDEO_VIEW,
    describe_rendering,
    other_renderings,
    rendering_labels,
)
from gallery.items.expiry import fate_of_files
from gallery.items.item import Status
from moderation.access.numbers import percent
from moderation.access.permissions import Actor, can
from moderation.access.stored_sentences import sentence
from moderation.cases import edits, golden, media, queue, reasons, retention, wellbeing
from moderation.cases.deciding import needing_two
from moderation.cases.models import CaseMatch, Decision, GoldenCase, ReviewCase, ReviewPreference
from moderation.cases.permissions import is_blinded, refusals
from moderation.cases.states import CaseState
from moderation.lists.models import BannedItem
from moderation.lists.verdicts import HASH_TYPES, Severity, Verdict, strictest
from moderation.screening.types import COLOURS, FRAMES
from videos.decode.errors import clock

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


STRIP_OFFSETS_MS: Final = (-4000, -2000, -1000, 0, 1000, 2000, 4000)
EARLIER_CASES_SHOWN: Final = 8
MATCHES_COUNTED: Final = 1000
TURNED: Final = 3
"""Degrees; smaller turns are not mentioned."""
COPIES: Final[Mapping[tuple[bool, bool, bool], _StrPromise]] = {
    (False, False, False): _("Copy"),
    (False, False, True): _("Copy with something around it"),
    (False, True, False): _("Crop"),
    (False, True, True): _("Crop with something around it"),
    (True, False, False): _("Mirrored copy"),
    (True, False, True): _("Mirrored copy with something around it"),
    (True, True, False): _("Mirrored crop"),
    (True, True, True): _("Mirrored crop with something around it"),
}
"""Whether it is mirrored, whether it is a crop, whether something is around it → what it is."""


@dataclass(frozen=True)
class Scale:
    """A distance on a line from 0 to the near-miss threshold, in per cent of the line."""

    place: float
    threshold: float
    within: bool

    @classmethod
    def of(cls, match: CaseMatch) -> Scale | None:
        """None for hashes: they are equal or not."""
        end = max(match.observe, match.distance, match.threshold)
        if match.match_type in HASH_TYPES or end <= 0:
            return None
        return cls(
            round(100 * match.distance / end, 2),
            round(100 * match.threshold / end, 2),
            match.within,
        )


def with_matches(cases: queue.Cases) -> queue.Cases:
    matches = CaseMatch.objects.order_by("pk").select_related("item")
    return cases.select_related("image", "video", "claimed_by").prefetch_related(
        Prefetch("matches", queryset=matches)
    )


def row(case: ReviewCase, by: Actor, size: int = 1) -> dict[str, Any]:
    strongest = nearest(case.matches.all())
    gaps = gaps_in_words(case)
    return {
        "case": case,
        "size": size,
        "match": strongest,
        "scale": Scale.of(strongest) if strongest else None,
        "more": max(0, len(case.matches.all()) - 1),
        "kept": media.has_media(case),
        "severity": severity(case),
        "holder": holder(case, by),
        "exact": is_exact(case),
        "gaps": gaps,
        "how": [*(match_in_words(strongest) if strongest else ()), *gaps],
    }


def _fate_of_files(case: ReviewCase) -> str:
    subject = case.image or case.video
    return fate_of_files(subject, with_cases=True) if subject else ""


def full(case: ReviewCase, by: Actor, *, filters: queue.Filters) -> dict[str, Any]:
    """Return everything that the page of a case shows. Load the case by ``with_matches``."""
    refused = refusals([case], reasons.REASONS, by)
    preferred = wellbeing.preference(by.user)
    items = matched_items(case)
    shown = next((one for one in items if one["picture"]), items[0] if items else None)
    return {
        **row(case, by),
        "filters": filters,
        "items": items,
        "shown": shown,
        "facts": facts(case),
        "fate_of_files": _fate_of_files(case),
        "two": bool(needing_two([case])),
        "siblings": queue.siblings(case).exclude(pk=case.pk).count(),
        "strip": strip(case, items, shown),
        "place": (shown and shown["place"]) or place(case),
        "renderings": renderings(case),
        "strip_filter": preferred.first_filter if preferred.first_filter != "clear" else "lines",
        "step_names": ReviewPreference.Filter.choices,
        "decisions": _readable(case, by),
        "earlier": earlier(case),
        "uploader": uploader(case),
        "may": {verb: not found for verb, found in refused.items()},
        "why_not": next((found[0].why for found in refused.values() if found), ""),
        "reasons": reasons.REASONS,
        "first_filter": preferred.first_filter,
        "seen": wellbeing.looks_today(by.user, preferred),
        "open": case.decided_at is None,
        "may_decide": can(by, "decide cases"),
        "may_make_golden": can(by, golden.ACTION)
        and case.decided_at is not None
        and not GoldenCase.objects.filter(case=case).exists(),
        "may_hold": can(by, retention.HOLD_ACTION),
        "packet": can(by, "view the audit"),
        "packet_media": can(by, "export media"),
    }


def seem_open(case: ReviewCase, by: Actor, since: datetime) -> None:
    """Let a golden case, as it is loaded, seem undecided and opened then. Nothing is stored."""
    case.state, case.created_at, case.decided_at = CaseState.OPEN, since, None
    case.claimed_by, case.claimed_until = by.user, timezone.now() + timedelta(minutes=1)
    for subject in filter(None, (case.image, case.video)):
        case.held, subject.status = True, Status.QUARANTINED


OF_AN_OPEN_CASE: Final[Mapping[str, Any]] = {
    "may": {**dict.fromkeys(("confirm", "dismiss", "escalate"), True), "appeal": False},
    "why_not": "",
    "siblings": 0,
    "decisions": [],
    "fate_of_files": "",
}
"""What ``full`` says of a case that nobody has decided."""


def nearest(matches: Iterable[CaseMatch]) -> CaseMatch | None:
    """Return the match with the smallest distance / threshold (0 for a hash)."""
    return min(
        matches, key=lambda match: match.distance / match.threshold if match.threshold else 0.0,
        default=None,
    )  # fmt: skip


def is_exact(case: ReviewCase) -> bool:
    return any(match.match_type in HASH_TYPES for match in case.matches.all())


def severity(case: ReviewCase) -> str:
    return Severity(case.severity).name.lower()


def holder(case: ReviewCase, by: Actor) -> str:
    """Return who is working on the case: "you" for the caller, "" for nobody."""
    user = case.lock_holder
    if user is None:
        return ""
    return "you" if user == by.user else user.get_username()


def facts(case: ReviewCase) -> list[tuple[str, Any]]:
    """Return what was known of the upload when the case was opened, as (label, value)."""
    evidence: Mapping[str, Any] = case.evidence
    names = (
        ("data_id", gettext("Data id")), ("url", "URL"), ("uploader", gettext("Uploader")),
        ("added_by", gettext("Added by")), ("format", gettext("Format")), ("sha256", "SHA-256"),
        ("md5", "MD5"),
    )  # fmt: skip
    found = [(words, evidence[name]) for name, words in names if evidence.get(name)]
    if evidence.get("width") and evidence.get("height"):
        found.append((gettext("Size"), f"{evidence['width']} × {evidence['height']}"))
    return found


def strip(
    case: ReviewCase, items: Sequence[Mapping[str, Any]], shown: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Return the times of a video around the match that is shown, and those of the other matched
    items. Empty for a picture."""
    if case.video is None:
        return []
    matched = {item["ms"] for item in items if item["ms"] is not None}
    at, end = (shown and shown["ms"]) or 0, case.video.duration_ms or 0
    moments = sorted(matched | {min(max(0, at + step), end) for step in STRIP_OFFSETS_MS})
    return [
        {"ms": ms, "label": moment(ms), "current": ms == at, "match": ms in matched}
        for ms in moments
    ]


def place(case: ReviewCase) -> str:
    """Return the query string for the first match's place in a video or animation."""
    return next(filter(None, (_place(match, case) for match in case.matches.all())), "")


def _place(match: CaseMatch, case: ReviewCase) -> str:
    timed = case.video is not None or match.rendering == VIDEO_VIEW
    time = str(match.time_ms) if timed and match.time_ms is not None else ""
    named = {"t": time, "f": match.frame, "r": match.rendering}
    query = urlencode({name: value for name, value in named.items() if value})
    return f"?{query}" if query else ""


def renderings(case: ReviewCase) -> list[dict[str, Any]]:
    """Return an image's renderings, if it has several: name, query string, whether it matched."""
    if case.image is None or not case.image.original or case.origin == ReviewCase.Origin.LINK:
        return []
    views = case.image.fingerprints.values_list("view", flat=True).distinct()
    others = {name: f"?{urlencode({'r': name})}" for name in other_renderings(views)}
    matched = {match.rendering: _place(match, case) for match in reversed(case.matches.all())}
    places = {"": "", **others, **matched}
    if len(places) == 1:
        return []
    return [
        {"name": label, "place": where, "matched": name in matched}
        for label, (name, where) in zip(
            rendering_labels(list(places), gettext), places.items(), strict=True
        )
    ]


def moment(ms: int) -> str:
    return f"{clock(ms)}.{ms % 1000 // 100}"


def earlier(case: ReviewCase) -> dict[str, Any]:
    """Count the other cases of the same items among the last ``MATCHES_COUNTED`` matches."""
    items = {match.item_id for match in case.matches.all() if match.item_id is not None}
    if not items:
        return {}
    matched = CaseMatch.objects.filter(item__in=items).exclude(case=None).order_by("-created_at")
    others = (
        ReviewCase.objects.filter(pk__in=matched.values("case")[:MATCHES_COUNTED])
        .exclude(pk=case.pk)
        .order_by(F("decided_at").desc(nulls_last=True), "-pk")
        .values("pk", "state", "decided_at")
    )
    rows = list(others)
    decided = [row for row in rows if row["decided_at"]]
    confirmed = sum(row["state"] == CaseState.CONFIRMED for row in decided)
    return {
        "confirmed": confirmed,
        "dismissed": len(decided) - confirmed,
        "waiting": len(rows) - len(decided),
        "capped": matched[MATCHES_COUNTED:].exists(),
        "cases": decided[:EARLIER_CASES_SHOWN],
        "filter": queue.Filters(item=str(next(iter(items)))).query if len(items) == 1 else "",
    }


def uploader(case: ReviewCase) -> dict[str, Any]:
    """Count the cases of other uploads of the same uploader. Empty if none is known."""
    name = str(case.evidence.get("uploader") or "")
    if not name:
        return {}
    others = ReviewCase.objects.filter(queue.of_uploader(name)).exclude(pk=case.pk)
    counted = others.aggregate(
        confirmed=Count("pk", filter=Q(state=CaseState.CONFIRMED)),
        dismissed=Count("pk", filter=Q(state=CaseState.DISMISSED)),
        waiting=Count("pk", filter=Q(state__in=CaseState.undecided())),
    )
    return {
        "name": name,
        **counted,
        "filter": queue.Filters(uploader=name).query,
    }


def matched_items(case: ReviewCase) -> list[dict[str, Any]]:
    """Return each matched item once, with the matches that found it, in the order of the first."""
    by_item: dict[Any, list[CaseMatch]] = {}
    for match in case.matches.all():
        key = match.item_id or (match.list_name, match.source)
        by_item.setdefault(key, []).append(match)
    return [_matched_item(found, case) for found in by_item.values()]


def _matched_item(matches: list[CaseMatch], case: ReviewCase) -> dict[str, Any]:
    """``match``: the one that shows where the item is, or else the first."""
    regions = nearest(one for one in matches if (one.geometry or {}).get("query_region"))
    shows = regions or next((one for one in matches if _place(one, case)), matches[0])
    geometry: Mapping[str, Any] = shows.geometry or {}
    item = shows.item
    # The picture of a video is not the frame that matched, unless the video itself is here.
    is_frame = bool(item and shows.item_time_ms is not None and media.stored_video(item))
    is_compared = item is not None and (is_frame or item.media != BannedItem.Media.VIDEO)
    return {
        "match": shows,
        "methods": [_method(match) for match in matches],
        "how": _all_in_words(matches),
        "verdict": strictest(Verdict(one.verdict) for one in matches),
        "picture": bool(item and item.picture),
        "aligns": is_compared,
        "place": _place(shows, case),
        "ms": shows.time_ms if case.video is not None else None,
        "item_at": moment(shows.item_time_ms or 0) if is_frame else "",
        "subject_region": geometry.get("query_region"),
        "item_region": geometry.get("candidate_region") if is_compared else None,
    }


def _all_in_words(matches: Sequence[CaseMatch]) -> list[str]:
    """Say once how the matches of an item show it. Geometry knows better than an edited hash."""
    sure = any(match.match_type == "copy" and match.geometry for match in matches)
    told = [match for match in matches if not (sure and match.edit)]
    # Of many frames of a video, the one that shows it best.
    best = nearest(match for match in told if match.match_type == "copy")
    words = [
        said
        for one in told
        for said in (
            match_in_words(one)
            if one.match_type != "copy" or one is best
            else rendering_in_words(one)
        )
    ]
    return list(dict.fromkeys(words))


def _method(match: CaseMatch) -> dict[str, Any]:
    return {
        "match": match,
        "scale": Scale.of(match),
        "exact": match.match_type in HASH_TYPES,
        "time": moment(match.time_ms) if match.time_ms is not None else "",
    }


def _readable(case: ReviewCase, by: Actor) -> list[dict[str, Any]]:
    """Return the live decisions. Only its author sees the first of two votes."""
    rows = Decision.objects.live().filter(case=case).select_related("by", "batch").order_by("pk")
    return [
        {
            "decision": one,
            "hidden": is_blinded(one, case, by),
            "reason": reasons.in_words(one.verb, one.batch.reason),
        }
        for one in rows
    ]


def match_in_words(match: CaseMatch) -> list[str]:
    edited = copy_in_words(match)
    if match.edit:
        edit = edits.in_words(match.edit)
        edited = gettext("It looks like an edited copy: %(edit)s.") % {"edit": edit}
    return [*([edited] if edited else []), *rendering_in_words(match)]


def rendering_in_words(match: CaseMatch) -> list[str]:
    """Say which rendering of the file matched, if it is not the usual one."""
    if not match.rendering:
        return []
    rendering = describe_rendering(match.rendering, gettext)
    return [gettext("What matched is %(rendering)s.") % {"rendering": rendering}]


def copy_in_words(match: CaseMatch) -> str:
    """Say what was done to the copy, and how sure it is: "Mirrored crop, 98 % sure."

    Match types without a calibrated confidence say only how it was turned and mirrored, if they
    know.
    """
    shown: Mapping[str, Any] = match.geometry or {}
    is_sure = match.match_type == "copy"
    # Nothing is known to 100 %.
    sure = percent(min(0.999, 1.0 - match.distance))
    if "rotation" not in shown:
        return gettext("A copy, %(sure)s sure.") % {"sure": sure} if is_sure else ""
    kind = (bool(shown["mirrored"]), bool(shown.get("crop")), bool(shown.get("border")))
    turned = abs(round(shown["rotation"]))
    words = {"copy": str(COPIES[kind]), "degrees": turned, "sure": sure}
    if is_sure and turned >= TURNED:
        return gettext("%(copy)s, turned by %(degrees)s°, %(sure)s sure.") % words
    if is_sure:
        return gettext("%(copy)s, %(sure)s sure.") % words
    if turned >= TURNED:
        return gettext("%(copy)s, turned by %(degrees)s°.") % words
    return gettext("%(copy)s.") % words


def gaps_in_words(case: ReviewCase) -> list[str]:
    """Say what was not compared, or only in part, as sentences."""
    evidence: Mapping[str, Mapping[str, str]] = case.evidence
    missing, partly = evidence.get("missing", {}), evidence.get("partly", {})
    return [
        *(_missing(name, why) for name, why in sorted(missing.items())),
        *(
            gettext("By %(method)s only %(what)s were compared.")
            % {"method": name, "what": edits.counted(what)}
            for name, what in sorted(partly.items())
        ),
    ]


def _missing(name: str, why: str) -> str:
    if name == FRAMES:
        return gettext("Not all of its pictures could be read: %(why)s") % {"why": sentence(why)}
    if name == COLOURS:
        return gettext("Its colours are in doubt: %(why)s") % {"why": sentence(why)}
    return gettext("It could not be compared by %(method)s: %(why)s") % {
        "method": name,
        "why": sentence(why),
    }

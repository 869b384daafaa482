"""The pages of thresholds: the evidence, the preview of another threshold, and setting it."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from gallery.imaging.renditions import STEPS
from gallery.items.media_responses import CLEAR, jpeg_response
from gallery.shared.errors import NotFound, UserError
from moderation.access.permissions import Actor, can
from moderation.cases import intervals, media, media_access, statistics, wellbeing
from moderation.cases.console.pages import console_page, render_page
from moderation.cases.models import CaseMatch, ReviewCase
from moderation.lists.models import ListMethod
from moderation.lists.thresholds import DEFAULTS
from moderation.lists.verdicts import PICTURE_TYPES
from moderation.tuning import charts, curves, over_time, thresholds
from moderation.tuning.curves import Point, bins, suggest
from moderation.tuning.thresholds import Preview, ThresholdEvidence

BARS: Final = 40
SMALL: Final = 240
TARGETS: Final = (0.8, 0.9, 0.95, 0.99)


@require_safe
@console_page("view lists")
def overview(request: HttpRequest, by: Actor) -> HttpResponseBase:
    """List each list and match type in use, with its current precision."""
    rows = statistics.precisions(by=by)
    return render_page(
        request,
        "moderation/tuning/thresholds.html",
        gettext("Thresholds"),
        {"rows": rows, "least": intervals.MIN_DECIDED},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@console_page("view lists")
def threshold_page(request: HttpRequest, by: Actor, pk: int, match_type: str) -> HttpResponseBase:
    """Show the charts, with ``?t=`` as the proposed threshold. POST sets the threshold."""
    if request.method == "POST":
        return _apply(request, by, pk, match_type)
    seen = thresholds.evidence(by=by, list_id=pk, match_type=match_type)
    proposed = _proposed(request.GET.get("t"), seen)
    found = thresholds.preview(by=by, seen=seen, proposed=proposed)
    context = {
        **_preview(seen, found, by),
        **_charts(seen),
        "match_types": _match_types(seen),
        "data": _data(seen),
        "may_edit": can(by, "edit lists"),
        "periods": over_time.precision_over_time(by=by, list_id=pk, match_type=match_type),
        "suggestions": [(round(100 * target), suggest(seen.curves, target)) for target in TARGETS],
    }
    title = gettext("Threshold of %(list)s") % {"list": seen.list.name}
    return render_page(request, "moderation/tuning/threshold.html", title, context)


@require_safe
@console_page("view lists")
def preview_part(request: HttpRequest, by: Actor, pk: int, match_type: str) -> HttpResponseBase:
    seen = thresholds.evidence(by=by, list_id=pk, match_type=match_type)
    proposed = _proposed(request.GET.get("t"), seen)
    found = thresholds.preview(by=by, seen=seen, proposed=proposed)
    context = _preview(seen, found, by)
    return render(request, "moderation/tuning/_preview.html", context)


@require_safe
@console_page("see media")
def match_picture(request: HttpRequest, by: Actor, pk: int, step: str) -> HttpResponseBase:
    """Return the matched content, small and filtered: many matches have no case to show it."""
    loaded = CaseMatch.objects.select_related("image", "video", "case__image", "case__video")
    match = loaded.filter(pk=pk).first()
    if match is None or step not in STEPS or step == CLEAR:
        raise NotFound(str(media.NONE_KEPT))
    return jpeg_response(media.subject_pixels(_subject(match), small=True), step, SMALL)


def _subject(match: CaseMatch) -> ReviewCase:
    return match.case or ReviewCase(image=match.image, video=match.video)


def _apply(request: HttpRequest, by: Actor, pk: int, match_type: str) -> HttpResponseBase:
    here = reverse("console:threshold", args=[pk, match_type])
    try:
        done = thresholds.apply(
            by=by,
            list_id=pk,
            match_type=match_type,
            threshold=_number(request.POST.get("threshold", "")),
            reason=request.POST.get("reason", ""),
        )
    except UserError as error:
        messages.error(request, error.message)
        return redirect(f"{here}?t={request.POST.get('threshold', '')}")
    sentences = [
        gettext("The threshold is now %(threshold)s.") % {"threshold": f"{done.method.threshold:g}"}
    ]
    if done.scan:
        sentences.append(gettext("Stored content is being scanned again."))
    messages.success(request, " ".join(sentences))
    return redirect(here)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(gettext("Give the threshold as a number."), field="threshold") from None


def _proposed(text: str | None, seen: ThresholdEvidence) -> float:
    try:
        value = float(text or "")
    except ValueError:
        return seen.bounds.threshold
    if seen.whole:
        value = round(value) if abs(value) < 1e6 else seen.bounds.threshold
    return value if 0 <= value <= seen.bounds.near_miss else seen.bounds.threshold


def _preview(seen: ThresholdEvidence, found: Preview, by: Actor) -> dict[str, Any]:
    count = found.move.added + found.move.dropped
    return {
        "seen": seen,
        "preview": found,
        "shown": [(match, media.has_media(_subject(match))) for match in found.matches],
        "more": max(0, count - len(found.matches)),
        "undecided": count - found.move.confirmed - found.move.dismissed,
        "may_look": can(by, "see media"),
        "filter": media_access.first_filter(wellbeing.preference(by.user)),
    }


def _charts(seen: ThresholdEvidence) -> dict[str, Any]:
    end = seen.bounds.near_miss or 1.0
    found = bins(seen.evidence, end, int(end) if seen.whole else BARS)
    points = seen.curves.points
    return {
        "bars": charts.stacked(found, end),
        "bins": found,
        "highest": charts.highest(found),
        "curves": [
            charts.curve("precision", points, lambda point: point.precision, end),
            charts.curve("recall", points, lambda point: point.recall, end),
        ],
        "ticks": charts.ticks(end, seen.whole),
        "points": points,
        "step": 1 if seen.whole else round(end / curves.STEPS, 6),
        "default": DEFAULTS[seen.match_type].threshold,
        "least": intervals.MIN_DECIDED,
        "has_curves": any(point.precision for point in points),
    }


def _data(seen: ThresholdEvidence) -> dict[str, Any]:
    return {
        "end": seen.bounds.near_miss,
        "current": seen.bounds.threshold,
        "whole": seen.whole,
        "points": [_row(point) for point in seen.curves.points],
    }


def _row(point: Point) -> dict[str, Any]:
    shares = {"precision": point.precision, "recall": point.recall}
    return {
        "threshold": point.threshold,
        "matched": point.matched,
        "decided": point.decided,
        **{name: [i.value, i.low, i.high] if i else None for name, i in shares.items()},
    }


def _match_types(seen: ThresholdEvidence) -> list[tuple[str, bool]]:
    """Return each match type, and whether the list uses it: the links to the other pages."""
    enabled = ListMethod.objects.filter(list=seen.list, enabled=True)
    used = set(enabled.values_list("match_type", flat=True))
    return [(name, name in used) for name in PICTURE_TYPES]

"""The page of duplicates: clusters of images, and decisions about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from gallery.admin.batch_pages import actor
from gallery.admin.selection import ids_of
from gallery.duplicates import decisions, scan
from gallery.duplicates.clusters import (
    BORDERED,
    CROPPED,
    LOADED_AT_ONCE,
    Cluster,
    Group,
    Member,
    find_groups,
    load_clusters,
)
from gallery.items import retention
from gallery.items.image_kind import IMAGE
from gallery.items.media_access import with_visibility
from gallery.items.models import DuplicatePair, DuplicateRun, Image
from gallery.items.retention import MAX_NAMED, Act, Withheld
from gallery.shared.access import access_of
from gallery.shared.errors import Conflict

CLUSTERS_PER_PAGE = LOADED_AT_ONCE
MAX_MEMBERS_SHOWN = 24
"""Members of a cluster on one page. If all boxes of a page are ticked, a request stays below the
1,000 fields that Django accepts."""
MIN_SCALE_CHANGE, MIN_ROTATION = 0.05, 3.0
"""Smaller changes (share, degrees) are within the error of the geometry and are not mentioned."""


@dataclass(frozen=True)
class Decision:
    """One decision about copies. ``warning``: what the confirmation page says about them.
    ``done``: a sentence about ``%(items)s``."""

    label: Any
    service: Callable[..., int]
    rights: tuple[str, ...]
    done: Any
    warning: Any
    is_final: bool = True


DECISIONS: Mapping[str, Decision] = {
    "merge": Decision(
        _("Merge into the kept one"),
        decisions.merge_copies,
        ("gallery.change_image", "gallery.delete_image"),
        _("%(items)s merged."),
        _(
            "will be deleted for good, with vectors and files. Their data ids, links, remarks and "
            "meta are kept in the meta of the image that stays, under “merged”."
        ),
    ),
    "delete": Decision(
        _("Delete the copies"),
        decisions.delete_copies,
        ("gallery.delete_image",),
        _("%(items)s deleted."),
        _(
            "will be deleted for good, with vectors and files, and with their data ids, links, "
            "remarks and meta."
        ),
    ),
    "apart": Decision(
        _("Not duplicates"),
        decisions.mark_not_duplicates,
        ("gallery.change_image",),
        _("%(items)s marked as not duplicates."),
        _(
            "will never be shown again as duplicates of the others in their cluster. Nothing is "
            "deleted."
        ),
        is_final=False,
    ),
}


@dataclass(frozen=True)
class Choice:
    """What a form says about one cluster: which image to keep, and which are its copies."""

    cluster: int
    keep: int
    copies: frozenset[int]


@admin.register(DuplicatePair)
class DuplicatesAdmin(ModelAdmin):
    """Users who may see images see duplicates; users who may delete images decide."""

    def get_urls(self) -> list[URLPattern]:
        """There is one page for all pairs; a pair has no page."""
        view = self.admin_site.admin_view(self.changelist_view)
        return [path("", view, name="gallery_duplicatepair_changelist")]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("gallery.view_image")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the clusters. POST shows the confirmation page, or runs a confirmed decision."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._decide(request)
        largest = request.GET.get("sort") == "largest"
        page = Paginator(find_groups(largest_first=largest), CLUSTERS_PER_PAGE).get_page(
            request.GET.get("p")
        )
        images = with_visibility(access_of(request), Image.objects.all())
        found = load_clusters(list(page.object_list), images=images)
        context = {
            "title": _("Duplicates"),
            "page": page,
            "pages": page.paginator.get_elided_page_range(page.number),
            "clusters": [shown(cluster) for cluster in found],
            "sort": "largest" if largest else "certain",
            "run": DuplicateRun.objects.first(),
            "unscanned": scan.unscanned_images().count(),
            "decisions": allowed(request),
        }
        return self._render(request, "clusters.html", context)

    def _decide(self, request: HttpRequest) -> HttpResponse:
        name = request.POST.get("action", "")
        decision = allowed(request).get(name)
        if decision is None:
            raise PermissionDenied
        choices = read_choices(request.POST)
        if not choices:
            messages.warning(
                request, _("Nothing done: choose clusters, and copies in them, first.")
            )
        elif "confirmed" in request.POST:
            reason = request.POST.get("reason", "").strip()[:1000]
            if decision.is_final and not reason:
                messages.warning(request, _("Nothing done: give a reason for the audit."))
            else:
                carry_out(request, decision, choices, reason)
        else:
            choices = without_withheld(request, decision, choices)
            clusters = chosen_clusters(
                choices, with_visibility(access_of(request), Image.objects.all())
            )
            if len(clusters) < len(choices):
                messages.warning(request, _("Some clusters have changed and are left out."))
            if clusters:
                count = sum(len(c["doomed"]) for c in clusters)
                context = {"title": decision.label, "name": name, "decision": decision}
                context |= {
                    "clusters": clusters,
                    "count": count,
                    "counted": IMAGE.count_text(count),
                    "of_clusters": of_clusters(count, len(clusters)),
                }
                return self._render(request, "decide.html", context)
        return HttpResponseRedirect(request.get_full_path())

    def _render(
        self, request: HttpRequest, template: str, context: dict[str, Any]
    ) -> TemplateResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, f"gallery/duplicates/{template}", context)


def allowed(request: HttpRequest) -> dict[str, Decision]:
    return {
        name: decision
        for name, decision in DECISIONS.items()
        if request.user.has_perms(decision.rights)
    }


def read_choices(form: Any) -> list[Choice]:
    """Return the chosen clusters of a form that have copies. Invalid numbers are ignored."""
    choices = []
    for cluster in ids_of(form.getlist("cluster")):
        keep = ids_of([form.get(f"keep-{cluster}", "")])
        copies = frozenset(ids_of(form.getlist(f"copy-{cluster}"))).difference(keep)
        if keep and copies:
            choices.append(Choice(cluster, keep[0], copies))
    return choices


def chosen_clusters(choices: Sequence[Choice], images: QuerySet[Image]) -> list[dict[str, Any]]:
    """Return what the confirmation page shows. Clusters that have changed are left out."""
    groups = {group.ids[0]: group for group in find_groups()}
    there = [c for c in choices if c.cluster in groups and fits(c, groups[c.cluster])]
    loaded = load_clusters(
        [groups[c.cluster] for c in there], {c.cluster: c.keep for c in there}, images
    )
    by_cluster = {c.cluster: c for c in there}
    clusters = []
    for cluster in loaded:
        copies = by_cluster[cluster.id].copies
        doomed = [row for row in rows(cluster) if row["image"].pk in copies]
        clusters.append({"id": cluster.id, "best": cluster.best, "doomed": doomed})
    return clusters


def fits(choice: Choice, group: Group) -> bool:
    return {choice.keep, *choice.copies} <= set(group.ids)


def without_withheld(
    request: HttpRequest, decision: Decision, choices: Sequence[Choice]
) -> list[Choice]:
    """Return the choices without the withheld copies. A message says how many those are."""
    if not decision.is_final:
        return list(choices)
    copies = {pk for choice in choices for pk in choice.copies}
    rows = Image.objects.filter(pk__in=copies).only("pk", "status")
    kept = retention.withheld(Image, rows, Act.DELETE)
    if kept:
        named = "; ".join(
            f"{_('image %(id)s') % {'id': pk}}: {kept[pk].text}" for pk in sorted(kept)[:MAX_NAMED]
        )
        may_see_cases = access_of(request).allows("moderate")
        text = (
            _("%(items)s left out, withheld (%(named)s).")
            if may_see_cases
            else _("%(items)s left out, withheld.")
        )
        messages.warning(request, text % {"items": IMAGE.count_text(len(kept)), "named": named})
    free = [replace(choice, copies=choice.copies - set(kept)) for choice in choices]
    return [choice for choice in free if choice.copies]


def carry_out(
    request: HttpRequest, decision: Decision, choices: Sequence[Choice], reason: str
) -> None:
    """Run one transaction per cluster. Clusters that have changed are reported and skipped."""
    total = clusters = 0
    for choice in choices:
        try:
            total += decision.service(
                keep=choice.keep, copies=choice.copies, by=actor(request), reason=reason
            )
            clusters += 1
        except Withheld as error:
            messages.warning(request, error.explained_to(access_of(request)).message)
        except Conflict as error:
            messages.warning(request, error.message)
    if clusters:
        messages.success(request, decision.done % {"items": of_clusters(total, clusters)})


def of_clusters(images: int, clusters: int) -> str:
    """Return "3 images of 2 clusters"."""
    text = ngettext("%(images)s of %(n)s cluster", "%(images)s of %(n)s clusters", clusters)
    return text % {"images": IMAGE.count_text(images), "n": clusters}


def shown(cluster: Cluster) -> dict[str, Any]:
    """Return a cluster as the page shows it, with at most ``MAX_MEMBERS_SHOWN`` members."""
    return {
        "id": cluster.id,
        "size": len(cluster.members),
        "confidence": cluster.confidence,
        "rows": rows(cluster)[:MAX_MEMBERS_SHOWN],
        "more": max(0, len(cluster.members) - MAX_MEMBERS_SHOWN),
    }


def rows(cluster: Cluster) -> list[dict[str, Any]]:
    contents = {member.image.pk: member.content for member in cluster.members}
    return [
        {
            "image": member.image,
            "link": member.link,
            "chained": member.chained,
            "best": member is cluster.best,
            "edits": edits(member, contents[member.link.other]) if member.link else [],
        }
        for member in cluster.members
    ]


def edits(member: Member, other_content: float) -> list[str]:
    """Describe in words the edits that turn the other image into this one."""
    link = member.link
    if link is None or link.shared is None or link.own is None or link.scale is None:
        return [gettext("alike as a whole")]
    words = []
    shared = min(1.0, link.shared / other_content)
    if shared < CROPPED:
        words.append(gettext("crop: %(share)s of it") % {"share": f"{shared:.0%}"})
    if link.own < BORDERED - MIN_SCALE_CHANGE:
        plain = link.own >= CROPPED * member.content
        around = (
            gettext("a plain border: it fills %(share)s")
            if plain
            else gettext("more around it: it fills %(share)s")
        )
        words.append(around % {"share": f"{link.own:.0%}"})
    if link.mirrored:
        words.append(gettext("mirrored"))
    if abs(link.rotation or 0.0) > MIN_ROTATION:
        words.append(gettext("turned %(degrees)s°") % {"degrees": f"{link.rotation:.0f}"})
    if abs(link.scale - 1.0) > MIN_SCALE_CHANGE:
        words.append(gettext("at %(share)s of its size") % {"share": f"{link.scale:.0%}"})
    return words or [gettext("the same view")]

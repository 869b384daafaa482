"""The admin's sidebar: only the pages that the user may open."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from moderation.access.permissions import LEAST, actor_of, can
from moderation.cases.models import ReviewCase

ANYONE, SUPERUSERS = "anyone", "superusers"

GROUPS: dict[Any, list[tuple[Any, str, str, str]]] = {
    "": [(_("Dashboard"), "dashboard", "admin:index", ANYONE)],
    _("Gallery"): [
        (_("Images"), "image", "admin:gallery_image_changelist", "gallery.view_image"),
        (_("Add pictures"), "add_photo_alternate", "admin:gallery_image_add", "gallery.add_image"),
        (
            _("Duplicates"),
            "difference",
            "admin:gallery_duplicatepair_changelist",
            "gallery.view_image",
        ),
        (_("Search page"), "image_search", "gallery:search", ANYONE),
    ],
    _("Videos"): [
        (_("Videos"), "movie", "admin:videos_video_changelist", "videos.view_video"),
        (_("Add videos"), "video_call", "admin:videos_video_add", "videos.add_video"),
        (
            _("Duplicate footage"),
            "content_copy",
            "admin:videos_video_duplicates",
            "videos.view_video",
        ),
    ],
    _("Moderation"): [
        (_("Review queue"), "inbox", "console:queue", "view cases"),
        (_("Notices"), "mark_email_unread", "console:notices", "decide cases"),
        (_("Numbers"), "monitoring", "moderation-dashboard", "view cases"),
        (_("Transparency"), "summarize", "console:transparency", "view the audit"),
        (_("Thresholds"), "tune", "console:thresholds", "view lists"),
        (_("Second opinions"), "rate_review", "console:second-opinions", "decide cases"),
        (_("Golden cases"), "verified", "console:golden", "choose golden cases"),
        (_("Cases"), "gavel", "admin:moderation_reviewcase_changelist", "view cases"),
        (_("Decisions"), "undo", "admin:moderation_decisionbatch_changelist", "view cases"),
        (_("Lists"), "playlist_remove", "admin:moderation_bannedlist_changelist", "view lists"),
        (_("Items"), "fingerprint", "admin:moderation_banneditem_changelist", "view lists"),
        (
            _("Changes that wait"),
            "how_to_vote",
            "admin:moderation_listchange_changelist",
            "edit lists",
        ),
        (_("Imports"), "upload_file", "admin:moderation_listimport_changelist", "import lists"),
        (
            _("Exchanges"),
            "sync_alt",
            "admin:moderation_exchange_changelist",
            "pull from exchanges",
        ),
        (_("Gates"), "door_front", "console:gates", "view lists"),
        (_("Webhooks"), "webhook", "admin:moderation_webhook_changelist", "edit webhooks"),
        (_("Matches"), "compare", "admin:moderation_casematch_changelist", "view cases"),
        (_("Audit"), "history", "admin:moderation_auditevent_changelist", "view the audit"),
        (_("How media is shown"), "visibility", "console:preferences", "see media"),
    ],
    _("Access"): [
        (_("API keys"), "key", "admin:imgsmlr_site_apikey_changelist", SUPERUSERS),
        (_("People"), "group", "admin:auth_user_changelist", "view the audit or auth.view_user"),
        (_("Groups"), "workspaces", "admin:auth_group_changelist", "auth.view_group"),
        (_("API documentation"), "description", "docs", ANYONE),
    ],
    _("Background work"): [
        (_("Operations"), "build", "operations", SUPERUSERS),
        (_("Schedules"), "schedule", "admin:django_q_schedule_changelist", SUPERUSERS),
        (_("Queue"), "list", "admin:django_q_ormq_changelist", SUPERUSERS),
        (_("Failed tasks"), "error", "admin:django_q_failure_changelist", "django_q.view_failure"),
    ],
}
"""Heading → (title, icon, URL name, who may open it: a permission, an action of
``moderation.access.permissions``, or one of the two words; several are joined by "or")."""


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups in Unfold's format, with the current page marked."""
    groups: list[dict[str, Any]] = [
        {
            "title": str(heading),
            "separator": bool(heading),
            "items": [
                {"title": str(title), "icon": icon, "link": reverse(name)}
                for title, icon, name, who in pages
                if may_open(request, who)
            ],
        }
        for heading, pages in GROUPS.items()
    ]
    items = [item for group in groups for item in group["items"]]
    for item in items:
        if item["link"] == reverse("console:queue") and (waiting := _waiting(request)):
            item |= {"badge": waiting, "badge_variant": "primary"}
    # The URL of "Add pictures" starts with that of "Images", so the longest match is the page.
    fitting = [item["link"] for item in items if request.path.startswith(item["link"])]
    for item in items:
        item["active"] = item["link"] == max(fitting, key=len, default="")
    return groups


def _waiting(request: HttpRequest) -> str:
    """Return the number of undecided cases for those who may decide them, or ""."""
    if not can(actor_of(request), "decide cases"):
        return ""
    waiting = ReviewCase.objects.open().count()
    return f"{waiting:,}" if waiting else ""


def may_open(request: HttpRequest, who: str) -> bool:
    return any(_may_open(request, one) for one in who.split(" or "))


def _may_open(request: HttpRequest, who: str) -> bool:
    if who == SUPERUSERS:
        return bool(request.user.is_active and request.user.is_superuser)
    if who in LEAST:
        return can(actor_of(request), who)
    return who == ANYONE or request.user.has_perm(who)

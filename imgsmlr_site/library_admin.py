"""The admin of libraries' models: accounts, and the schedules, queue and history of django-q2.

A schedule or a queued task can name any function of any module. Whoever may write one can run code,
so only superusers may, whatever permissions others have.
"""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Count, QuerySet
from django.forms.widgets import Script
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django_q.admin import FailAdmin, QueueAdmin, ScheduleAdmin, TaskAdmin
from django_q.models import Failure, OrmQ, Schedule, Success, Task
from unfold.admin import ModelAdmin

from gallery.admin.confirmation import asked
from gallery.admin.listing import BulkListMixin
from gallery.admin.selection import Selection
from imgsmlr_site.operations import failed_tasks
from moderation.access.permissions import actor_of

for model in (User, Group, Schedule, OrmQ, Success, Failure):
    admin.site.unregister(model)
# Pages that would show secrets, or what the page of an account says.
for model in (Authenticator, EmailAddress, SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(model)


class MovesBetweenLists:
    """Mixin: the selector of groups and permissions works in Unfold's pages."""

    class Media:
        """A JavaScript module, so that it runs after the script of Django's selector."""

        js = (Script("imgsmlr_site/account_selector.js", type="module"),)


class SuperusersChange:
    """Mixin: only superusers add, change and delete rows."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)


@admin.register(Group)
class RoleAdmin(SuperusersChange, MovesBetweenLists, GroupAdmin, BulkListMixin, ModelAdmin):
    """Groups are sets of permissions, so only superusers change them."""


class SuperuserOnly(SuperusersChange):
    """Mixin: only superusers see rows."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)


class ReadOnly:
    """Mixin: nobody adds or changes rows; superusers may delete them."""

    actions: list[str] = []

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)


@admin.register(Schedule)
class ScheduledTaskAdmin(SuperuserOnly, ScheduleAdmin, BulkListMixin, ModelAdmin):
    pass


class TasksMixin(ReadOnly):
    """Finished and failed tasks: deleted together, after a page that says which."""

    @admin.action(description=_("Delete…"), permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Task]) -> Any:
        selection = Selection(request, "delete", queryset)
        by_function = queryset.order_by("func").values_list("func").annotate(Count("pk"))
        page = asked(
            self,
            request,
            selection,
            button=gettext("Delete %(tasks)s") % {"tasks": tasks_text(len(selection.ids))},
            would=gettext("Only their records are deleted. This cannot be undone."),
            lines=[f"{count:,} × {name}" for name, count in by_function],
        )
        if page is not None:
            return page
        Task.objects.filter(pk__in=selection.ids).delete()
        text = gettext("%(items)s deleted.") % {"items": tasks_text(len(selection.ids))}
        messages.success(request, text)
        return None


def tasks_text(count: int) -> str:
    return ngettext("%(n)s task", "%(n)s tasks", count) % {"n": f"{count:,}"}


@admin.register(OrmQ)
class QueuedTaskAdmin(ReadOnly, SuperuserOnly, QueueAdmin, BulkListMixin, ModelAdmin):
    """Tasks that wait or run. They can be deleted but not edited."""


@admin.register(Success)
class FinishedTaskAdmin(TasksMixin, TaskAdmin, BulkListMixin, ModelAdmin):
    actions = ["delete_selected"]


@admin.register(Failure)
class FailedTaskAdmin(TasksMixin, FailAdmin, BulkListMixin, ModelAdmin):
    actions = ["retry", "delete_selected"]

    @admin.action(description=_("Retry"), permissions=["delete"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        count = failed_tasks.retry(by=actor_of(request), tasks=queryset)
        messages.success(request, gettext("%(tasks)s queued again.") % {"tasks": tasks_text(count)})


def is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)

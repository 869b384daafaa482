"""The admin of what libraries store: accounts, and django-q2's schedules, queue and history.

A schedule and a queued task name any function of any module and run it. Whoever may write one
may run code, so they are the superusers' alone, whatever permissions others are given.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet
from django.forms.widgets import Script
from django.http import HttpRequest, HttpResponse
from django_q.admin import FailAdmin, QueueAdmin, ScheduleAdmin, TaskAdmin
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from moderation.access.permissions import actor_of
from moderation.audit import roles

for model in (User, Group, Schedule, OrmQ, Success, Failure):
    admin.site.unregister(model)


class NamesWhoGives:
    """Mixin: the audit says who gave and took roles here."""

    class Media:
        """A module, so that it runs after the selector's own script."""

        js = (Script("imgsmlr_site/account_selector.js", type="module"),)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """All that a page's form changes."""
        with roles.given_by(actor_of(request).name):
            response: HttpResponse = super().changeform_view(request, *args, **kwargs)  # type: ignore[misc]
        return response

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """One that is deleted."""
        with roles.given_by(actor_of(request).name):
            response: HttpResponse = super().delete_view(request, *args, **kwargs)  # type: ignore[misc]
        return response

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        with roles.given_by(actor_of(request).name), transaction.atomic():
            super().delete_queryset(request, queryset)  # type: ignore[misc]


@admin.register(User)
class AccountAdmin(NamesWhoGives, UserAdmin, ModelAdmin):
    """People who log in."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only superusers hand out rights; else who may change accounts could take them all."""
        fields = super().get_readonly_fields(request, obj)
        if is_superuser(request):
            return fields
        return [*fields, "is_superuser", "is_staff", "groups", "user_permissions"]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Who may set another's password may act as them: staff are the superusers' to change."""
        privileged = obj is not None and (obj.is_staff or obj.is_superuser)
        if privileged and obj != request.user and not is_superuser(request):
            return False
        allowed: bool = super().has_change_permission(request, obj)
        return allowed

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Superusers; others deactivate."""
        return is_superuser(request)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """With an event of what was changed of the rights."""
        nothing = dict.fromkeys(roles.RIGHTS, False) | {"is_active": True}
        known = User.objects.filter(pk=obj.pk).values(*roles.RIGHTS).first()
        super().save_model(request, obj, form, change)
        roles.record_rights(obj, known or nothing)


@admin.register(Group)
class RoleAdmin(NamesWhoGives, GroupAdmin, ModelAdmin):
    """Groups are sets of rights, so they are superusers' to write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)


class SuperuserOnly:
    """Mixin: nobody else sees, adds, changes or deletes anything."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)


class ReadOnly:
    """Mixin: seen by those who may, written by nobody; superusers may clear it away."""

    actions: list[str] = []

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)


@admin.register(Schedule)
class ScheduledTaskAdmin(SuperuserOnly, ScheduleAdmin, ModelAdmin):
    """What runs again and again."""


@admin.register(OrmQ)
class QueuedTaskAdmin(ReadOnly, SuperuserOnly, QueueAdmin, ModelAdmin):
    """What waits or is in work. It can be taken out, not edited."""


@admin.register(Success)
class FinishedTaskAdmin(ReadOnly, TaskAdmin, ModelAdmin):
    """Tasks that ended well."""


@admin.register(Failure)
class FailedTaskAdmin(ReadOnly, FailAdmin, ModelAdmin):
    """Tasks that raised or were killed."""


def is_superuser(request: HttpRequest) -> bool:
    """Whether an active superuser asks."""
    return bool(request.user.is_active and request.user.is_superuser)

"""People in the admin: one list of accounts with role, login, second factor, looks and agreement,
and the page that invites."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from gallery.admin.confirmation import asked
from gallery.admin.listing import BulkListMixin, NearestPageList, PickFilter
from gallery.admin.selection import Selection
from gallery.shared.times import when
from imgsmlr_site.accounts import invitations
from imgsmlr_site.accounts.recovery import reset_second_factor
from imgsmlr_site.accounts.second_factor import has_factor
from imgsmlr_site.library_admin import MovesBetweenLists, is_superuser
from moderation.access.permissions import GROUPS, Role, actor_of, can
from moderation.audit import people
from moderation.cases import quality
from moderation.cases.models import Exposure

LOOKS_DAYS = 30
LABELS = {**dict.fromkeys(GROUPS, "info"), "none": "warning", "inactive": "danger"}
ROLE_WORDS = {
    "viewer": _("viewer"),
    "moderator": _("moderator"),
    "lead": _("lead"),
    "admin": _("admin"),
    "none": _("none"),
    "inactive": _("inactive"),
}
ABOUT_ROLES = {
    "viewer": _("viewer: sees lists and cases, no media"),
    "moderator": _("moderator: sees media, decides cases"),
    "lead": _("lead: edits lists, decides escalated cases, reads the audit"),
    "admin": _("admin: deletes lists, edits webhooks, overrides"),
}


class InvitationForm(forms.ModelForm):
    """The one page that makes an account: name, mail, role."""

    username = forms.CharField(
        label=_("User name"),
        max_length=150,
        validators=User._meta.get_field("username").validators,
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
        help_text=_(
            "What the person logs in with, and what the audit says. Letters, digits and @ . + - _."
        ),
    )
    email = forms.EmailField(
        required=False,
        label=_("Mail address"),
        widget=UnfoldAdminTextInputWidget,
        help_text=_(
            "Where the link that sets the password is sent, if the service sends mails. "
            "Otherwise you see the link once."
        ),
    )
    role = forms.ChoiceField(
        label=_("Role"),
        choices=[(name, ABOUT_ROLES[name]) for name in GROUPS],
        initial="moderator",
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = User
        fields = ["username", "email"]

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exists():
            raise forms.ValidationError(_("There is an account %(name)s already.") % {"name": name})
        return name


class RoleFilter(PickFilter):
    title = _("role")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(name, role_word(name)) for name in (*GROUPS, "none")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        """Find whoever is in the group of a role. A superuser is an admin."""
        chosen = self.value()
        if chosen == "none":
            return queryset.exclude(groups__name__in=GROUPS).exclude(is_superuser=True)
        if chosen not in GROUPS:
            return queryset
        named = Q(pk__in=User.objects.filter(groups__name=chosen).values("pk"))
        return queryset.filter(named | Q(is_superuser=True) if chosen == "admin" else named)


class PeopleList(NearestPageList):
    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        """Read the agreements of all people together."""
        super().get_results(request)
        by = actor_of(request)
        found = {}
        if can(by, "view cases"):
            found = {row.name: row.agreement for row in quality.agreements(by=by).people}
        for person in self.result_list:
            person.agreed = found.get(person.get_username())


@admin.register(User)
class PeopleAdmin(MovesBetweenLists, UserAdmin, BulkListMixin, ModelAdmin):
    form = UserChangeForm
    add_form = InvitationForm
    add_form_template = "accounts/invite.html"
    add_fieldsets = ((None, {"fields": ("username", "email", "role")}),)
    change_password_form = AdminPasswordChangeForm
    change_form_outer_before_template = "accounts/person.html"
    list_display = ["person", "shown_role", "login", "second_factor", "looks", "agreement"]
    list_display_links = ["person"]
    list_filter = [RoleFilter, "is_active"]
    list_filter_submit = True
    list_before_template = "accounts/before_people.html"
    search_help_text = _("A user name, a name or a mail address.")
    actions = ["reset_second_factor"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        factors = Authenticator.objects.filter(user=OuterRef("pk"), type=Authenticator.Type.TOTP)
        since = timezone.localdate() - timedelta(days=LOOKS_DAYS - 1)
        days = Exposure.objects.filter(user=OuterRef("pk"), day__gte=since).order_by()
        looks = days.values("user").annotate(all=Sum("count")).values("all")
        found: QuerySet[User] = super().get_queryset(request)
        return found.annotate(
            factor=Exists(factors),
            looked=Coalesce(Subquery(looks, output_field=IntegerField()), 0),
        ).prefetch_related("groups")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[PeopleList]:
        return PeopleList

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Leads see the list. The page of an account, with its permissions, is for those who
        manage accounts."""
        managed: bool = super().has_view_permission(request, obj)
        return managed or (obj is None and can(actor_of(request), "view the audit"))

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> Any:
        managed = super().has_view_permission(request)
        return self.list_display_links if managed else None

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Looks and agreement are for leads, as the looks in the audit are."""
        shown = super().get_list_display(request)
        leads = can(actor_of(request), "view the audit")
        return [name for name in shown if leads or name not in ("looks", "agreement")]

    def get_urls(self) -> list[URLPattern]:
        invite = self.admin_site.admin_view(self.invite_view)
        return [path("<int:pk>/invite/", invite, name="auth_user_invite"), *super().get_urls()]

    @display(description=_("person"), ordering="username", header=True)
    def person(self, account: User) -> Sequence[str]:
        return account.get_username(), ", ".join(
            filter(None, (account.get_full_name(), account.email))
        )

    @display(description=_("role"), label=LABELS)
    def shown_role(self, account: User) -> tuple[str, str]:
        role = role_of(account)
        return role, role_word(role)

    @display(description=_("last login"), ordering="last_login")
    def login(self, account: User) -> str:
        if account.last_login:
            return when(account.last_login)
        return gettext("invited") if invitations.is_invited(account) else gettext("never")

    @display(description=_("second factor"), boolean=True)
    def second_factor(self, account: Any) -> bool:
        return bool(account.factor)

    @display(description=_("looks, 30 days"), ordering="looked")
    def looks(self, account: Any) -> str:
        return f"{account.looked:,}"

    @display(description=_("agreement"))
    def agreement(self, account: Any) -> str:
        found = account.agreed
        if found is None:
            return "–"
        values = {"alike": f"{found.alike:,}", "cases": f"{found.cases:,}"}
        if found.raw is None:
            return gettext("too few (%(alike)s of %(cases)s)") % values
        values["share"] = f"{found.raw:.0%}"
        return gettext("%(share)s (%(alike)s of %(cases)s)") % values

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        answer: HttpResponse = super().changelist_view(
            request, {"title": _("People"), **(extra_context or {})}
        )
        return answer

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        is_id = bool(object_id) and str(object_id).isdecimal() and len(str(object_id)) < 10
        person = User.objects.filter(pk=int(str(object_id))).first() if is_id else None
        context: dict[str, Any] = {"person": person}
        if person is None:
            context |= {"title": _("Invite a person"), "show_save_and_add_another": False,
                        "show_save_and_continue": False}  # fmt: skip
        else:
            audited = can(actor_of(request), "view the audit")
            context |= {
                "role": role_word(role_of(person)),
                "has_factor": has_factor(person.pk),
                "invited": invitations.is_invited(person),
                "may_invite": is_superuser(request),
                "audit_url": reverse("admin:moderation_auditevent_changelist") if audited else "",
            }
        answer: HttpResponse = super().changeform_view(
            request, object_id, form_url, {**context, **(extra_context or {})}
        )
        return answer

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if obj is None and not is_superuser(request):
            # Only superusers grant roles.
            del form.base_fields["role"]
        return form

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None and not is_superuser(request):
            return ((None, {"fields": ("username", "email")}),)
        return super().get_fieldsets(request, obj)

    def response_add(
        self, request: HttpRequest, obj: User, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._invited(request, obj)

    def invite_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make another link for a person who has not set a password."""
        person = User.objects.filter(pk=pk).first()
        if request.method != "POST" or not is_superuser(request) or person is None:
            raise PermissionDenied
        if not invitations.is_invited(person):
            raise PermissionDenied(f"{person.get_username()} has a password, or is inactive.")
        return self._invited(request, person)

    def _invited(self, request: HttpRequest, person: User) -> HttpResponse:
        """Show the link on a page. A message might be stored in a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("%(name)s is invited") % {"name": person.get_username()},
            "opts": self.opts,
            "invitation": invitations.invite(request, person),
            "days": invitations.DAYS,
        }
        response = TemplateResponse(request, "accounts/invited.html", context)
        add_never_cache_headers(response)
        return response

    @admin.action(description=_("Reset the second factor…"), permissions=["reset"])
    def reset_second_factor(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        """For people who lost it. One's own is changed by a code, on its page."""
        name = request.user.get_username()
        if queryset.filter(pk=request.user.pk).exists():
            text = _("%(name)s is you: change your second factor on its page.")
            messages.warning(request, text % {"name": name})
        chosen = queryset.exclude(pk=request.user.pk)
        accounts = chosen.filter(factor=True).order_by("username")
        if without := [one.get_username() for one in chosen.filter(factor=False)]:
            text = _("Without a second factor: %(names)s.")
            messages.warning(request, text % {"names": ", ".join(sorted(without))})
        names = [one.get_username() for one in accounts]
        if not names:
            return None
        button = ngettext(
            "Reset the second factor of %(n)s person",
            "Reset the second factor of %(n)s people",
            len(names),
        )
        page = asked(
            self,
            request,
            Selection(request, "reset_second_factor", accounts, ["username"]),
            button=button % {"n": len(names)},
            would=gettext(
                "They are logged out everywhere, and the password alone lets them in until they "
                "set up a new one. Make sure that it was they who asked for it."
            ),
            lines=names,
        )
        if page is not None:
            return page
        with transaction.atomic():
            for account in accounts:
                reset_second_factor(account)
        text = _("The second factor is reset of: %(names)s.")
        messages.success(request, text % {"names": ", ".join(names)})
        return None

    def has_reset_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only superusers grant permissions, or anyone who may change accounts could take them
        all."""
        fields = super().get_readonly_fields(request, obj)
        if is_superuser(request):
            return fields
        return [*fields, "is_superuser", "is_staff", "groups", "user_permissions"]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Only superusers change staff, because whoever sets a password can log in as that user."""
        privileged = obj is not None and (obj.is_staff or obj.is_superuser)
        if privileged and obj != request.user and not is_superuser(request):
            return False
        allowed: bool = super().has_change_permission(request, obj)
        return allowed

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Superusers only; others deactivate accounts."""
        return is_superuser(request)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Record changes of permissions in the audit. A new account has no password."""
        nothing = dict.fromkeys(people.RIGHTS, False) | {"is_active": True}
        known = User.objects.filter(pk=obj.pk).values(*people.RIGHTS).first()
        if not change:
            obj.set_unusable_password()
        super().save_model(request, obj, form, change)
        people.record_rights(obj, known or nothing)
        if not change and "role" in form.cleaned_data:
            invitations.give_role(obj, form.cleaned_data["role"])


def role_word(role: str) -> str:
    return str(ROLE_WORDS[role])


def role_of(account: User) -> str:
    """Return the name of the role, "none" or "inactive".

    It asks nothing of the database if the groups were read before.
    """
    if not account.is_active:
        return "inactive"
    names = [group.name for group in account.groups.all()]
    role = Role.named(account, names)
    return "none" if role is Role.NOBODY else role.name.lower()

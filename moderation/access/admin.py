"""Admin pages whose permissions follow roles in moderation, not Django's permissions."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import override
from unfold.admin import ModelAdmin

from gallery.admin.listing import BulkListMixin, EstimatingPaginator
from gallery.shared.errors import UserError
from moderation.access.numbers import whole_number
from moderation.access.permissions import Deferred, actor_of, can


class RoleModelAdmin(BulkListMixin, ModelAdmin):
    """Admin pages with permissions by role. ``*_action``: the action of ``permissions.LEAST`` that
    is needed; None: nobody may."""

    view_action: ClassVar[str] = "view lists"
    add_action: ClassVar[str | None] = None
    change_action: ClassVar[str | None] = None
    delete_action: ClassVar[str | None] = None
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = EstimatingPaginator

    def may(self, request: HttpRequest, action: str | None) -> bool:
        return action is not None and can(actor_of(request), action)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, self.view_action)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, self.view_action)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, self.add_action)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, self.change_action)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, self.delete_action)

    def exact_search(self, term: str, number: int | None) -> Q | None:
        """Return the rows that a term names exactly, so that no search reads a whole table.
        ``number`` is the term as a number. None means: search as Django does."""
        return None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        named = self.exact_search(term, whole_number(term)) if term else None
        if named is None:
            found: tuple[QuerySet[Any], bool] = super().get_search_results(
                request, queryset, search_term
            )
            return found
        return queryset.filter(named), False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Remove Django's bulk deletion, which bypasses the services."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the error of a service as a message on the same page."""
        try:
            response: HttpResponse = super().changeform_view(request, *args, **kwargs)
        except UserError as error:
            return _refused(request, error)
        return response

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The history stores the name of a row: in English, whoever acts."""
        with override("en"):
            return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        with override("en"):
            return super().log_change(request, obj, message)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = super().delete_view(request, *args, **kwargs)
        except UserError as error:
            return _refused(request, error)
        return response


def _refused(request: HttpRequest, error: UserError) -> HttpResponse:
    """Redirect to the same page. The transaction was rolled back, so store the request again."""
    if isinstance(error, Deferred):
        error.store()
    messages.error(request, error.message)
    return HttpResponseRedirect(request.get_full_path())


class OwnPagesAdmin(RoleModelAdmin):
    """An admin whose pages are templates of the feature, in the directory ``templates``."""

    templates: ClassVar[str]

    def existing(self, pk: int) -> Any:
        """Return a row with its list. Raise ``Http404`` if there is none."""
        return get_object_or_404(self.model._default_manager.select_related("list"), pk=pk)

    def own_page(
        self, request: HttpRequest, template: str, title: str, **context: Any
    ) -> TemplateResponse:
        shown = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "back": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"),
            **context,
        }
        return TemplateResponse(request, f"{self.templates}/{template}", shown)

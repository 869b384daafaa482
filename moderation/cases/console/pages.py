"""Shared by the console's pages: the check of roles, and the admin's layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache

from moderation.access.permissions import actor_of, can

View = Callable[..., HttpResponseBase]


def console_page(action: str) -> Callable[[View], View]:
    """For ``view(request, by, …)``: only people who may do ``action``. Others log in or get 403."""

    def decorate(view: View) -> View:
        @never_cache
        @wraps(view)
        def checked(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            if not admin.site.has_permission(request):
                return redirect_to_login(request.get_full_path())
            by = actor_of(request)
            if not can(by, action):
                raise PermissionDenied
            return view(request, by, **kwargs)

        return checked

    return decorate


def render_page(
    request: HttpRequest, template: str, title: str, context: Mapping[str, Any]
) -> TemplateResponse:
    shell = admin.site.each_context(request)
    return TemplateResponse(
        request,
        template,
        {**shell, "title": title, "is_fullwidth": "1", **context},
    )

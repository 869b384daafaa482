"""Authentication (``AccessAuthentication``) and permissions by scope for REST framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from imgsmlr_site.access import CHALLENGE, Access, NotAuthenticated

if TYPE_CHECKING:  # rest_framework.views imports this module, which its settings name
    from rest_framework.views import APIView


class AccessAuthentication(SessionAuthentication):
    """Sets ``request.user`` and ``request.auth`` (the ``Access``).

    It only refuses a write of a session without its CSRF token. ``ScopePermission`` does the rest.
    """

    def authenticate(self, request: Request) -> tuple[AbstractUser, Access] | None:
        """Return (user, access) for sessions and for keys of a user, otherwise None."""
        access: Access = request._request.access  # type: ignore[attr-defined]
        if access.cookie:
            self.enforce_csrf(request)
        return (access.user, access) if access.user else None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class ScopePermission(BasePermission):
    """Requires the scope that the view declares.

    ``scope = "search"`` applies to every method; ``scopes = {"GET": "search", "POST": "add"}`` is
    per method (HEAD counts as GET; OPTIONS needs any one of them). If a view or method declares
    nothing, only logged-in superusers may use it, so a forgotten declaration opens nothing.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True, or raise ``NotAuthenticated``, ``PermissionDenied`` or ``MethodNotAllowed``."""
        method = request.method or ""
        if method not in view.allowed_methods:
            raise exceptions.MethodNotAllowed(method)
        access: Access = request._request.access  # type: ignore[attr-defined]
        accepted = scopes_for(view, method)
        if access.superuser or any(map(access.allows, accepted)):
            return True
        what = f"the scope '{accepted[0]}'" if accepted else "a logged-in superuser"
        refusal = access.missing(what)
        # REST framework's own exceptions, because its browsable pages catch only those.
        if isinstance(refusal, NotAuthenticated):
            raise exceptions.NotAuthenticated(refusal.message, refusal.code)
        raise exceptions.PermissionDenied(refusal.message, refusal.code)


def scopes_for(view: APIView, method: str) -> list[str]:
    """Return the scopes, one of which is enough; empty if the view declares none."""
    if scope := getattr(view, "scope", None):
        return [scope]
    declared: dict[str, str] = getattr(view, "scopes", {})
    if method == "OPTIONS":
        return sorted(set(declared.values()))
    scope = declared.get("GET" if method == "HEAD" else method)
    return [scope] if scope else []


class AccessScheme(OpenApiAuthenticationExtension):
    """Describes the API key headers and the session cookie in the OpenAPI schema."""

    target_class = AccessAuthentication
    name = ["bearerKey", "headerKey", "session"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key (`imgs_…`), sent as `Authorization: Bearer …`.",
            },
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "The same key in a header of its own. One of the two is enough.",
            },
            {
                "type": "apiKey",
                "in": "cookie",
                "name": settings.SESSION_COOKIE_NAME,
                "description": "The login of a browser. While you are signed in, this page sends "
                "it by itself: leave this empty.",
            },
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        return [{name: []} for name in self.name]

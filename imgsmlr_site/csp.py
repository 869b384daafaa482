"""The Content-Security-Policy of each part of the site: strict, with exceptions where needed.

django-csp is not used: the policy depends on the path, many views belong to libraries and cannot be
decorated, and the site needs no nonces or reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

HEADER = "Content-Security-Policy"

STRICT: Mapping[str, str] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    # Not from other hosts: a picture there may have changed since it was screened.
    "img-src": "'self' data: blob:",
    "media-src": "'self' blob:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
INLINE_STYLES: Mapping[str, str] = {"style-src": "'self' 'unsafe-inline'"}
"""The pages of REST framework and Swagger use style attributes and style elements."""
UNFOLD: Mapping[str, str] = {
    **INLINE_STYLES,
    # Unfold's Alpine.js evaluates expressions in attributes; inline scripts stay forbidden.
    "script-src": "'self' 'unsafe-eval'",
}


def policy(changes: Mapping[str, str]) -> str:
    """Return the header's value: the strict policy with some directives replaced."""
    return "; ".join(f"{name} {sources}" for name, sources in {**STRICT, **changes}.items())


class ContentSecurityPolicyMiddleware:
    """Sets the header unless the view has set it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.strict = policy({})
        self.by_prefix = {
            reverse("admin:index"): policy(UNFOLD),
            "/api/": policy(INLINE_STYLES),
        }

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for prefix, value in self.by_prefix.items():
            if request.path.startswith(prefix):
                response.headers.setdefault(HEADER, value)
        response.headers.setdefault(HEADER, self.strict)
        return response

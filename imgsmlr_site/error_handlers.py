"""Answers to errors outside REST framework: a page for browsers, the API's shape for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.template.loader import get_template, render_to_string
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from gallery.shared.errors import UserError
from imgsmlr_site import csp
from imgsmlr_site.errors import PayloadTooLarge, json_response, problem, user_problem
from imgsmlr_site.outages import outage

TITLES: Final[Mapping[int, Any]] = {
    401: _("Please sign in"),
    403: _("Not allowed"),
    404: _("Not found"),
    405: _("This page cannot be opened by a link"),
    413: _("Too large"),
    429: _("Too many requests"),
}
RETRY_SECONDS: Final = 5
"""What ``Retry-After`` says during an outage."""


def wants_page(request: HttpRequest) -> bool:
    """Whether a browser opens the address: it accepts HTML by name, programs accept anything."""
    return "text/html" in request.headers.get("Accept", "")


def error_response(
    request: HttpRequest, status: int, code: str, detail: str, **values: Any
) -> HttpResponse:
    """``detail`` is English, for programs and the log. A page shows its translation.

    ``values`` are put into both.
    """
    body = problem(status, code, detail % values if values else detail)
    return _response(request, status, body, gettext(detail) % values if values else "")


def user_error_response(request: HttpRequest, error: UserError) -> HttpResponse:
    status, body, headers = user_problem(error)
    response = _response(request, status, body)
    for name, value in headers.items():
        response[name] = value
    return response


def _response(
    request: HttpRequest, status: int, body: dict[str, Any], shown: str = ""
) -> HttpResponse:
    if not wants_page(request):
        return json_response(status, body)
    title = TITLES.get(status, gettext("This did not work"))
    context = {"status": status, "title": title, "detail": shown or gettext(body["detail"])}
    response = HttpResponse(render_to_string("error.html", context, request), status=status)
    # For the log of refusals.
    response.data = body  # type: ignore[attr-defined]
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, RequestDataTooBig):
        detail = str(PayloadTooLarge.default_detail)
        return error_response(request, 413, PayloadTooLarge.default_code, detail)
    return error_response(request, 400, "bad_request", gettext_noop("The request is malformed."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(request, 403, "forbidden", gettext_noop("You may not do this."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """``CSRF_FAILURE_VIEW``."""
    return error_response(
        request,
        403,
        "csrf_failed",
        gettext_noop(
            "Nothing was done, as the form is too old or cookies are off. Go back, load the page "
            "again, and send the form once more."
        ),
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    detail = "There is nothing at this address: /api/docs/ lists what there is."
    if wants_page(request):
        detail = gettext_noop("There is nothing at this address.")
    return error_response(request, 404, "not_found", detail)


def not_allowed(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Fill a 405 of a view, which Django leaves empty."""
    methods = response["Allow"]
    text = gettext_noop("This address takes %(methods)s, not %(method)s.")
    filled = error_response(
        request, 405, "method_not_allowed", text, methods=methods, method=request.method
    )
    response.content = filled.content
    response["Content-Type"] = filled["Content-Type"]
    response["Content-Length"] = str(len(response.content))
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer the exception that is being handled: 503 if the service lacks something for a time.

    The page asks neither database nor session: they may be what failed.
    """
    found = outage(sys.exc_info()[1])
    status = 503 if found else 500
    code, detail = found or (
        "internal_error",
        gettext_noop("The service failed; its log says why."),
    )
    if wants_page(request):
        title = gettext("Not available now") if found else gettext("Something went wrong")
        page = get_template("500.html").render({"title": title, "detail": gettext(detail)})
        response = HttpResponse(page, status=status)
        response[csp.HEADER] = csp.policy(csp.INLINE_STYLES)
    else:
        response = json_response(status, problem(status, code, detail))
    if found:
        response["Retry-After"] = str(RETRY_SECONDS)
    return response

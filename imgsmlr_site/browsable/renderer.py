"""v1 in a browser: pages in the product's look, with a form for what the reader may do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from django.template import loader
from django.utils.html import urlize
from django.utils.safestring import SafeString, mark_safe
from rest_framework.exceptions import APIException, ParseError
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request, override_method

from gallery.api.schema import body_of
from gallery.shared.access import access_of
from imgsmlr_site.authentication import scopes_for
from imgsmlr_site.browsable import addresses, forms
from imgsmlr_site.errors import exception_handler, problem
from moderation.access.permissions import Actor, can

WRITES: Final = ("POST", "PATCH")
ROW_ID: Final = re.compile(r"^(      &quot;id&quot;: )(\d+)", re.MULTILINE)
"""The id of a row of a list, as the JSON is indented."""


@dataclass(frozen=True)
class Picture:
    thumbnail: str
    file: str
    title: str


def may(view: Any, request: Request, method: str) -> bool:
    """Whether the reader's access and role allow the method here."""
    if method not in view.allowed_methods:
        return False
    with override_method(view, request, method) as asked:
        try:
            view.check_permissions(asked)
        except APIException:
            return False
    if not _role_may(view, request, method):
        return False
    offers = getattr(view, "offers", None)
    return offers is None or bool(offers(method))


def may_open(view_class: Any, request: Request) -> bool:
    """Whether the reader's access and role allow what a link to the view leads to."""
    method = "GET" if hasattr(view_class, "get") else "POST"
    access: Any = access_of(request)
    scopes = scopes_for(view_class, method)
    allowed = access.superuser or any(map(access.allows, scopes))
    return allowed and _role_may(view_class, request, method)


def _role_may(view: Any, request: Request, method: str) -> bool:
    action = getattr(view, "actions", {}).get(method)
    return not action or can(Actor.caller(access_of(request)), action)


class PageRenderer(BrowsableAPIRenderer):
    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Show the answer and the forms. An address without a GET opens as the page of its form."""
        context = cast(dict[str, Any], renderer_context or {})
        view, request, response = (context[name] for name in ("view", "request", "response"))
        only_form = response.status_code == 405 and request.method in ("GET", "HEAD")
        if only_form:
            data = self._open_form(view, request, response)
        page = self._page(data, context, shows_answer=not only_form or data is not None)
        template = loader.get_template(self.template)
        rendered = template.render(page, request=request)
        if response.status_code == 204:
            response.status_code = 200
        return rendered

    def _open_form(self, view: Any, request: Request, response: Any) -> Any:
        """Set the status of a page without an answer. Return a refusal, if there is one."""
        response.status_code = 200
        if any(may(view, request, method) for method in view.allowed_methods if method in WRITES):
            return None
        with override_method(view, request, "POST") as asked:
            try:
                view.check_permissions(asked)
            except APIException as error:
                refused = exception_handler(error, {})
                if refused is not None:
                    response.status_code = refused.status_code
                    response.data = refused.data
                    return refused.data
        response.status_code = 403
        response.data = problem(403, "forbidden", "Your role may not do this.")
        return response.data

    def _page(self, data: Any, context: dict[str, Any], *, shows_answer: bool) -> dict[str, Any]:
        view, request, response = (context[name] for name in ("view", "request", "response"))
        refused = response.status_code >= 400
        way = addresses.way_to(request.path)
        is_root = request.path == addresses.ROOT

        def opens(one: Any) -> bool:
            return may_open(one, request)

        cls = type(view)
        paginator: Any = getattr(view, "paginator", None)
        listed = isinstance(data, dict) and "results" in data and paginator is not None
        return {
            "title": way[-1].title if way else addresses.title_of(cls, view.kwargs),
            "about": addresses.about(cls),
            "way": way[:-1],
            "below": addresses.below(request.path, opens) if way and not is_root else [],
            "parts": addresses.parts(opens) if is_root else {},
            "asked": f"{request.method} {request.get_full_path()}",
            "code": response.status_code,
            "phrase": response.reason_phrase,
            "refused": refused,
            "detail": data.get("detail", "") if refused and isinstance(data, dict) else "",
            "answer": self._answer(data, context) if shows_answer else None,
            "pictures": _pictures(data) if not refused else [],
            "newer": paginator.get_previous_link() if listed else None,
            "older": paginator.get_next_link() if listed else None,
            "filter": self._filter(view, request) if listed else None,
            "forms": self._forms(view, request, response, data),
            "can_delete": self._can_delete(view, request),
            "up": way[-2].href if len(way) > 1 else addresses.ROOT,
            "user": request.user,
            "request": request,
            "from_page": forms.FROM_PAGE,
        }

    def _answer(self, data: Any, context: dict[str, Any]) -> SafeString:
        """Return the JSON with links: of values that are links, and of rows that have a page."""
        if data is None:
            return mark_safe("")
        view, request = context["view"], context["request"]
        renderer: Any = self.get_default_renderer(view)
        text = self.get_content(renderer, data, "application/json", dict(context))
        shown = urlize(text, nofollow=True, autoescape=True)
        if isinstance(data, dict) and "results" in data and addresses.row_address(request.path):
            shown = ROW_ID.sub(rf'\1<a href="{request.path}\2/">\2</a>', shown)
        return mark_safe(shown)  # noqa: S308 # urlize escapes it

    def _forms(self, view: Any, request: Request, response: Any, data: Any) -> list[forms.BodyForm]:
        answered = response.status_code
        fine = answered == 200 and request.method == "GET" and isinstance(data, dict)
        found = []
        for method in WRITES:
            if not may(view, request, method):
                continue
            failed = request.method == method and 400 <= answered < 500 and isinstance(data, dict)
            found.append(
                forms.build(
                    body_of(view, method),
                    method=method,
                    title=addresses.first_words(getattr(view, method.lower()).__doc__ or ""),
                    saved=data if fine and method == "PATCH" else {},
                    typed=_typed(request) if failed else None,
                    error=data if failed else None,
                )
            )
        # Of an answer to a change there is nothing to fill the form with.
        return [one for one in found if one.method != "PATCH" or fine]

    def _can_delete(self, view: Any, request: Request) -> bool:
        """A list is deleted from by a filter, which no button says."""
        return bool(view.kwargs) and request.method == "GET" and may(view, request, "DELETE")

    def _filter(self, view: Any, request: Request) -> Any:
        for backend in view.filter_backends:
            if hasattr(backend, "get_filterset"):
                filterset = backend().get_filterset(request, view.get_queryset(), view)
                return filterset.form if filterset is not None else None
        return None


def _pictures(data: Any) -> list[Picture]:
    """Return the thumbnails of the images and videos of an answer, none of withheld media."""
    if not isinstance(data, dict):
        return []
    rows = data["results"] if isinstance(data.get("results"), list) else [data]
    inside = ((row, row.get("image"), row.get("video")) for row in rows if isinstance(row, dict))
    items = [one for parts in inside for one in parts if isinstance(one, dict)]
    return [
        Picture(one["thumbnail"], one["file"], str(one["data_id"] or one["id"]))
        for one in items
        if one.get("thumbnail") and not one.get("blurred", True)
    ]


def _typed(request: Request) -> Any:
    try:
        return request.data
    except (ParseError, APIException):
        return None

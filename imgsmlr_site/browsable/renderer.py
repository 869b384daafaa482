"""v1 in a browser: pages in the product's look, with a form for what the reader may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from django.template import loader
from django.utils.safestring import SafeString
from rest_framework.exceptions import APIException, ParseError
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request, override_method

from gallery.api.schema import body_of, query_of
from gallery.shared.access import access_of
from imgsmlr_site.authentication import scopes_for
from imgsmlr_site.browsable import addresses, forms
from imgsmlr_site.browsable.answers import with_links
from imgsmlr_site.errors import exception_handler, problem
from moderation.access.permissions import Actor, can

WRITES: Final = ("POST", "PATCH")


@dataclass(frozen=True)
class Picture:
    thumbnail: str
    file: str
    title: str


@dataclass(frozen=True)
class Deletion:
    """``what``: what goes, and how many. ``chosen``: the query that says which."""

    what: str
    chosen: Mapping[str, str]
    inputs: list[forms.Input]


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
        is_root = request.path in (addresses.ROOT, addresses.WITHOUT_VERSION)

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
            "query": self._query(view, request, data if refused else None),
            "forms": self._forms(view, request, response, data),
            "deletion": self._deletion(view, request),
            "up": way[-2].href if len(way) > 1 else addresses.ROOT,
            "user": request.user,
            "request": request,
            "from_page": forms.FROM_PAGE,
        }

    def _answer(self, data: Any, context: dict[str, Any]) -> SafeString:
        if data is None:
            return SafeString("")
        view, request = context["view"], context["request"]
        renderer: Any = self.get_default_renderer(view)
        text = self.get_content(renderer, data, "application/json", dict(context))
        rows = request.path if addresses.row_address(request.path) else ""
        return with_links(text, rows, getattr(view, "row_links", ()))

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
                    query=forms.query_inputs(query_of(view, method), request.query_params),
                    typed=_typed(request) if failed else None,
                    error=data if failed else None,
                )
            )
        # Of an answer to a change there is nothing to fill the form with.
        return [one for one in found if one.method != "PATCH" or fine]

    def _query(self, view: Any, request: Request, refusal: Any) -> list[forms.Input]:
        """Return the fields of what the answer can be asked for."""
        if not may(view, request, "GET"):
            return []
        inputs = forms.query_inputs(query_of(view, "GET"), request.query_params)
        if request.method == "GET" and isinstance(refusal, dict) and "field" in refusal:
            at, why = refusal["field"], refusal["detail"]
            inputs = [replace(one, error=why) if one.name == at else one for one in inputs]
        return inputs

    def _deletion(self, view: Any, request: Request) -> Deletion | None:
        """Return the form that deletes what the page shows."""
        if request.method != "GET" or not may(view, request, "DELETE"):
            return None
        what = view.would_delete()
        if not what:
            return None
        parameters = query_of(view, "DELETE")
        chosen = {
            one["name"]: request.query_params[one["name"]]
            for one in parameters
            if one["name"] in request.query_params
        }
        asked = [one for one in parameters if one["name"] not in chosen]
        if not view.kwargs:
            # Which rows go is what the page was filtered by.
            asked = [one for one in asked if one["name"] not in view.filterset_class.base_filters]
        return Deletion(what, chosen, forms.query_inputs(asked, {}))


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

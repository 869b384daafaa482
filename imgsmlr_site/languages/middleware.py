"""Pages are in the reader's language. Everything else is English, whatever the client asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from rest_framework.views import APIView

from imgsmlr_site.error_handlers import wants_page

ENGLISH_PREFIXES = ("/api/", "/imgsmlr/search", "/imgsmlr/mgr/")
"""APIs that a browser may open, too."""


class LanguageMiddleware:
    """Activates the language that the person chose, or else the browser prefers.

    Django's ``LocaleMiddleware`` would do so for programs, too. They compare messages, or show them
    to people of another language than the machine that sends the request.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.admin = reverse("admin:index")

    def __call__(self, request: HttpRequest) -> HttpResponse:
        by_reader = self._is_for_people(request)
        if by_reader:
            _speak(request, translation.get_language_from_request(request))
        else:
            _speak(request, settings.LANGUAGE_CODE)
        response = self.get_response(request)
        if by_reader:
            response.headers.setdefault("Content-Language", translation.get_language() or "en")
            patch_vary_headers(response, ("Accept-Language", "Cookie"))
        # Whatever this thread does next is not for this reader.
        translation.activate(settings.LANGUAGE_CODE)
        return response

    def process_view(self, request: HttpRequest, view: Any, *args: Any) -> None:
        if issubclass(getattr(view, "cls", type), APIView):
            _speak(request, settings.LANGUAGE_CODE)

    def _is_for_people(self, request: HttpRequest) -> bool:
        path = request.path_info
        if path.startswith(self.admin):
            return True
        return wants_page(request) and not path.startswith(ENGLISH_PREFIXES)


def _speak(request: HttpRequest, language: str) -> None:
    translation.activate(language)
    request.LANGUAGE_CODE = language

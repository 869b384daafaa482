"""The texts of scripts, as a script: it defines ``gettext``, ``ngettext`` and ``interpolate``."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.translation import get_language, override
from django.views.decorators.http import require_safe
from django.views.i18n import JavaScriptCatalog

APPS = ["gallery", "videos", "moderation", "imgsmlr_site"]
YEAR = 365 * 24 * 3600


@lru_cache
def _script(language: str) -> bytes:
    catalog = JavaScriptCatalog(packages=APPS)
    with override(language):
        return catalog.get(HttpRequest()).content


@lru_cache
def _version(language: str) -> str:
    return sha256(_script(language)).hexdigest()[:12]


def address(language: str | None = None) -> str:
    """Return the address of the texts in this or the active language, which changes with them."""
    language = language or get_language() or settings.LANGUAGE_CODE
    return f"{reverse('script-texts', args=[language])}?v={_version(language)}"


def for_admin(request: HttpRequest) -> str:
    return address()


@require_safe
def script_texts(request: HttpRequest, language: str) -> HttpResponse:
    if language not in dict(settings.LANGUAGES):
        raise Http404
    response = HttpResponse(_script(language), content_type="text/javascript; charset=utf-8")
    if request.GET.get("v") == _version(language):
        patch_cache_control(response, public=True, max_age=YEAR, immutable=True)
    else:
        patch_cache_control(response, no_cache=True)
    return response

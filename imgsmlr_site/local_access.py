"""Access for the people and programs of this machine, without an open network.

An address proves nothing: a proxy on this machine connects from the loopback, too, for the whole
world. What proves that somebody is on this machine is a secret that only its files or its terminal
show. Programs send the API key in ``DATA_DIR/key``. A browser opens a link that works once, and its
session then has the permissions of that key.
"""

from __future__ import annotations

import hmac
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from imgsmlr_site.access import KEY_IN_SESSION, Forbidden
from imgsmlr_site.env import write_secret
from imgsmlr_site.models import ApiKey, Scope, digest

NAME: Final = "local"
SCOPES: Final = [Scope.SEARCH, Scope.ADD, Scope.CHECK]
LINK_SECONDS: Final = 24 * 3600


def key_file() -> Path:
    return Path(settings.DATA_DIR) / "key"


def link_file() -> Path:
    """Its content is the hash of the link's token. Who deletes it has used the link."""
    return Path(settings.DATA_DIR) / "login_link"


def ensure_key() -> Path:
    """Make a key for this machine unless there is one that works. Return the file that holds it."""
    path = key_file()
    if _key_of_machine() is None:
        number = ApiKey.objects.filter(name__startswith=NAME).count()
        _, text = ApiKey.issue(name=f"{NAME}-{number + 1}" if number else NAME, scopes=SCOPES)
        path.unlink(missing_ok=True)
        write_secret(path, text)
    return path


def new_link(site: str) -> str:
    """Return an address that lets one browser in. Earlier ones end."""
    token = secrets.token_urlsafe(32)
    link_file().unlink(missing_ok=True)
    write_secret(link_file(), digest(token))
    return site + reverse("enter", args=[token])


def welcome(site: str) -> str:
    """Return what an operator at a terminal is told: a new link, and how programs send the key."""
    path = ensure_key()
    with suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return (
        f"Open this in your browser, it works once: {new_link(site)}\n"
        f'Programs send the key in {path}: curl -H "X-API-Key: $(cat {path})" '
        f"{site}{reverse('status')}"
    )


@never_cache
@require_GET
def enter(request: HttpRequest, token: str) -> HttpResponseBase:
    """Let the browser in that opens the link first."""
    key = _key_of_machine() if _used_now(token) else None
    if key is None:
        raise Forbidden(
            "This link was used already, or it is old: `manage.py login_link` prints a new one.",
            code="link_used",
        )
    request.session.flush()
    request.session[KEY_IN_SESSION] = key.pk
    return redirect("gallery:search")


def _used_now(token: str) -> bool:
    path = link_file()
    try:
        known, made = path.read_text(), path.stat().st_mtime
        if not hmac.compare_digest(known, digest(token)) or time.time() - made > LINK_SECONDS:
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _key_of_machine() -> ApiKey | None:
    try:
        text = key_file().read_text().strip()
    except FileNotFoundError:
        return None
    key = ApiKey.objects.filter(sha256=digest(text)).first()
    return None if key is None or key.ended(timezone.now()) else key

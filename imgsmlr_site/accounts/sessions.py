"""Limits of sessions: how long without a request, and how long in all."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

STARTED, SEEN = "started", "seen"
"""In a session: when the person logged in, and about when the last request came."""
SEEN_STEP = 60.0
"""Seconds that ``SEEN`` may be old. Without it, each request would write a row."""


class SessionLimitsMiddleware:
    """Moves the end of a session with its requests, but never beyond ``SESSION_HOURS``.

    Django ends it: the end is stored with the session. It must come after SessionMiddleware.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # Reading the session of a request that did not need it would be a query.
        if request.session.accessed and SESSION_KEY in request.session:
            _move_end(request.session)
        return response


def _move_end(session: SessionBase) -> None:
    now = time.time()
    if now - session.get(SEEN, 0) < SEEN_STEP:
        return
    session[SEEN] = now
    started = session.setdefault(STARTED, now)
    end = min(now + settings.SESSION_IDLE_HOURS * 3600, started + settings.SESSION_COOKIE_AGE)
    session.set_expiry(datetime.fromtimestamp(end, UTC))


@receiver(user_logged_in)
def begin(request: HttpRequest, **_: Any) -> None:
    request.session[STARTED] = time.time()
    request.session.pop(SEEN, None)


def end_sessions(user: AbstractUser) -> int:
    """Log a person out everywhere. Return the number of sessions that were ended.

    It reads all sessions, which say only inside whose they are. There are as many as people.
    """
    living = Session.objects.filter(expire_date__gt=timezone.now())
    theirs = [
        row.pk for row in living.iterator() if row.get_decoded().get(SESSION_KEY) == str(user.pk)
    ]
    Session.objects.filter(pk__in=theirs).delete()
    return len(theirs)


def forget_ended() -> int:
    """Delete ended sessions, a task of every day. Return how many there were."""
    deleted, _ = Session.objects.filter(expire_date__lte=timezone.now()).delete()
    return deleted

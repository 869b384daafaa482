"""Ids that connect a request, its log lines, and the tasks that it queues.

The id comes from ``X-Request-ID``, or is made here, and is answered in that header. django-q2
carries it inside the task. Each refused request (4xx) and each task of a request gets a log line.
"""

from __future__ import annotations

import http
import logging
import re
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final

import orjson
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils.encoding import escape_uri_path
from django_q.signals import post_execute_in_worker, pre_enqueue, pre_execute

from gallery.shared import counters
from gallery.shared.errors import UserError
from imgsmlr_site.request_ids import NONE, request_id

HEADER: Final = "X-Request-ID"
ACCEPTED: Final = re.compile(r"[A-Za-z0-9._:+/=-]{1,64}")
"""Another id is replaced: it could make a log line look like two."""
MAX_TEXT: Final = 300
SECRET_PARTS: Final = frozenset({"key", "receipt", "token", "uidb36", "uidb64"})
"""Names of parts of paths that are secrets: whoever knows the link may open it."""

logger = logging.getLogger(__name__)


class RequestLogMiddleware:
    """Gives each request its id, and logs each 4xx with its reason. It must come first.

    Neither query nor body is logged, as they may hold secrets.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get(HEADER, "")
        token = request_id.set(sent if ACCEPTED.fullmatch(sent) else uuid.uuid4().hex)
        try:
            response = self.get_response(request)
            response[HEADER] = request_id.get()
            if 400 <= response.status_code < 500 or hasattr(response, "refused"):
                log_refusal(request, response)
            return response
        finally:
            request_id.reset(token)


def log_refusal(request: HttpRequest, response: HttpResponse) -> None:
    code, sentence = reason(response)
    facts = {
        "method": printable(str(request.method)),
        "path": path_without_secrets(request),
        "status": response.status_code,
        "code": code,
    }
    logger.warning("%s: %s", " ".join(map(str, facts.values())), sentence, extra=facts)


def path_without_secrets(request: HttpRequest) -> str:
    path = request.path
    found = request.resolver_match.kwargs if request.resolver_match else {}
    for name in SECRET_PARTS & found.keys():
        path = path.replace(str(found[name]), "***")
    return printable(escape_uri_path(path))


def reason(response: HttpResponse) -> tuple[str, str]:
    """Return code and sentence of an error: those of its ``refused`` (the original API answers
    errors with the status 200), of its JSON, else of its status."""
    if isinstance(refused := getattr(response, "refused", None), UserError):
        return refused.code, printable(refused.message)
    status = http.HTTPStatus(response.status_code)
    body = getattr(response, "data", None)
    is_json = response.get("Content-Type", "").startswith("application/json")
    if body is None and is_json and not response.streaming:
        body = orjson.loads(response.content)
    match body:
        case {"code": str(code), "detail": str(sentence)}:
            return code, printable(sentence)
        case {"detail": [{"type": str(code), "msg": str(sentence)}, *_]}:  # of the original API
            return code, printable(sentence)
        case {"message": str(sentence)}:  # of HMA's API
            return status.name.lower(), printable(sentence)
    return status.name.lower(), f"{status.description or status.phrase}."


def printable(text: str) -> str:
    """Return text from outside as one short line without control characters."""
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else "�" for char in line)[:MAX_TEXT]


_started: ContextVar[float] = ContextVar("start of the task", default=0.0)


@receiver(pre_enqueue)
def put_into_task(task: dict[str, Any], **_: Any) -> None:
    if (current := request_id.get()) != NONE:
        task["request_id"] = current


@receiver(pre_execute)
def take_from_task(task: dict[str, Any], **_: Any) -> None:
    request_id.set(task.get("request_id", NONE))
    _started.set(perf_counter())


@receiver(post_execute_in_worker)
def note_task(func: Any, task: dict[str, Any], **_: Any) -> None:
    """Count a task, and log one that a request queued. django-q2 logs failures, without the id."""
    done = "done" if task.get("success") else "failed"
    seconds = round(perf_counter() - _started.get(), 3)
    if func is not None:
        counters.count("task_duration_seconds", task["func"], done, seconds=seconds)
    if request_id.get() != NONE:
        facts = {"task": task["func"], "outcome": done, "seconds": seconds}
        logger.info("%s %s in %s s", *facts.values(), extra=facts)

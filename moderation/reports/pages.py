"""Public pages, for people without an account: statements of reasons, and notices."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from gallery.shared.access import access_of
from gallery.shared.errors import Busy, UserError
from moderation.access.permissions import Actor
from moderation.reports import notices, receipts, statements
from moderation.reports.models import Notice

View = Callable[..., HttpResponseBase]
READ_COST: Final = 10
WRITE_COST: Final = 100
NOTICES_AN_HOUR: Final = 5
"""Notices that one client may send by the form."""
HOUR: Final = 3600.0
MEGABYTES: Final = 10
"""The largest file that the form takes, as ``imgsmlr_site.edge`` does."""


def public_page(view: View) -> View:
    """For a page that anybody may open: throttled, in no cache and in no search engine."""

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        access_of(request).charge(WRITE_COST if request.method == "POST" else READ_COST)
        response = view(request, **kwargs)
        response["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return guarded


@require_http_methods(["GET", "HEAD", "POST"])
@public_page
def statement_page(request: HttpRequest, token: str) -> HttpResponseBase:
    """Show a statement of reasons. POST with ``appeal``: the text of the appeal."""
    problem, written = "", ""
    if request.method == "POST":
        written = request.POST.get("appeal", "")
        try:
            statements.appeal(token=token, text=written)
        except UserError as error:
            if error.field is None:
                raise
            problem = error.message
        else:
            return redirect("statement", token=token)
    context = {
        "found": statements.by_token(token),
        "problem": problem,
        "written": written,
        "longest": statements.LONGEST_APPEAL,
    }
    return render(
        request, "moderation/reports/statement.html", context, status=400 if problem else 200
    )


@require_http_methods(["GET", "HEAD", "POST"])
@public_page
def notice_form(request: HttpRequest) -> HttpResponseBase:
    """The form by which anybody may send a notice, where ``NOTICE_FORM`` is on."""
    if not settings.NOTICE_FORM:
        raise Http404
    error: UserError | None = None
    if request.method == "POST":
        try:
            notice = _received(request)
        except UserError as problem:
            if isinstance(problem, Busy):
                raise
            error = problem
        else:
            return redirect("notice-status", receipt=receipts.issue(notice))
    context = {
        "reasons": Notice.Reason.choices,
        "given": request.POST,
        "error": error,
        "longest": notices.LONGEST,
        "megabytes": MEGABYTES,
    }
    return render(
        request, "moderation/reports/notice_form.html", context, status=400 if error else 200
    )


def _received(request: HttpRequest) -> Notice:
    given, access = request.POST, access_of(request)
    if given.get("good_faith") != "1":
        raise UserError(_("Confirm that what you say is true."), field="good_faith")
    access.limit("notices", NOTICES_AN_HOUR, HOUR)
    upload = request.FILES.get("file")
    fields = ("reason", "statement", "name", "email", "address")
    return notices.receive(
        by=Actor.caller(access),
        data=upload.read() if isinstance(upload, UploadedFile) else None,
        **{name: given.get(name, "") for name in fields},
    )


@require_safe
@public_page
def notice_status(request: HttpRequest, receipt: str) -> HttpResponseBase:
    """Verify a receipt, and say what became of the notice."""
    known = receipts.read(receipt)
    context = {
        "receipt": receipt,
        "known": known,
        "reason": dict(Notice.Reason.choices)[known.reason],
        "notice": Notice.objects.filter(pk=known.notice).first(),
    }
    return render(request, "moderation/reports/notice_status.html", context)

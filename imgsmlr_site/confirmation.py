"""The page that asks before an action on many rows of the site's own lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from gallery.admin.selection import CHANGED, Selection


def asked(
    model_admin: Any,
    request: HttpRequest,
    selection: Selection,
    *,
    button: str,
    would: str,
    lines: Sequence[str],
) -> HttpResponse | None:
    """Return the page that asks, or None if the person has confirmed it.

    If the rows have changed since the page was shown, it is shown again.
    """
    if selection.is_confirmed:
        return None
    if selection.is_asked:
        messages.warning(request, CHANGED)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"{button}?",
        "opts": model_admin.opts,
        "would": would,
        "lines": lines,
        "button": button,
        "action_name": request.POST["action"],
        "token": selection.token,
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "select_across": request.POST.get("select_across") == "1",
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "admin/confirm_rows.html", context)

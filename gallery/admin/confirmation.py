"""The page that asks before an action on many rows of the site's own lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from gallery.admin.selection import CHANGED, Selection


def asked(
    model_admin: Any,
    request: HttpRequest,
    selection: Selection,
    *,
    button: str,
    would: str,
    lines: Sequence[str],
    form: Form | None = None,
    danger: bool = True,
) -> HttpResponse | None:
    """Return the page that asks, or None if the person has confirmed it.

    If the rows have changed since the page was shown, it is shown again. ``form``: what else it
    asks, bound if ``selection.is_asked``.
    """
    if selection.is_confirmed and (form is None or form.is_valid()):
        return None
    if selection.is_asked and not selection.is_confirmed:
        messages.warning(request, CHANGED)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("%(action)s?") % {"action": button},
        "opts": model_admin.opts,
        "would": would,
        "lines": lines,
        "button": button,
        "variant": "danger" if danger else "primary",
        "form": form,
        "action_name": request.POST["action"],
        "token": selection.token,
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "select_across": request.POST.get("select_across") == "1",
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "admin/confirm_rows.html", context)

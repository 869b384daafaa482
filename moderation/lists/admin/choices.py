"""The choice of a list in forms."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext

from moderation.lists.models import BannedList


class ListChoiceField(forms.ModelChoiceField):
    """Names say the kind: what an allow list holds passes on every list."""

    def label_from_instance(self, obj: BannedList) -> str:
        if not obj.is_allow_list:
            return obj.name
        return gettext("%(list)s (allow list)") % {"list": obj.name}

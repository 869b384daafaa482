"""The names of models and of their columns in the reader's language.

Django makes most of them from the code, so no source holds them as texts: an app lists them for the
catalog as ``pgettext_lazy("name", …)``. Set on the fields, they would be part of migrations.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.utils.translation import pgettext_lazy

NAME = "name"


def translate_names(app: AppConfig) -> None:
    """Give the models of an app, and their columns, names that are translated when shown."""
    for model in app.get_models():
        meta: Any = model._meta
        meta.verbose_name = pgettext_lazy(NAME, str(meta.verbose_name))
        meta.verbose_name_plural = pgettext_lazy(NAME, str(meta.verbose_name_plural))
        for field in meta.local_fields + meta.local_many_to_many:
            field.verbose_name = pgettext_lazy(NAME, str(field.verbose_name))

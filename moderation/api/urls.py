"""Paths of v1 about moderation, below ``/api/v1/moderation/``."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

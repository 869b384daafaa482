"""Public paths, outside the admin and the API."""

from __future__ import annotations

from django.urls import path

from moderation.reports import pages

urlpatterns = [
    path("statements/<str:token>/", pages.statement_page, name="statement"),
    path("notices/", pages.notice_form, name="notice-form"),
    path("notices/<str:receipt>/", pages.notice_status, name="notice-status"),
]

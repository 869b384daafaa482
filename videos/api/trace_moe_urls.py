"""The addresses of trace.moe's API."""

from django.urls import path

from videos.api import trace_moe

urlpatterns = [
    path("search", trace_moe.Search.as_view(), name="trace-moe-search"),
    path("me", trace_moe.Me.as_view(), name="trace-moe-me"),
]

"""The addresses of IQDB's API."""

from django.urls import path

from gallery.api import iqdb

urlpatterns = [
    path("images/<int:post>", iqdb.Picture.as_view(), name="iqdb-image"),
    path("query", iqdb.Query.as_view(), name="iqdb-query"),
    path("status", iqdb.Counts.as_view(), name="iqdb-status"),
]

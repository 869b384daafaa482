"""Paths outside ``/api/``: the search page, the original API, the media."""

from django.urls import path

from gallery import views
from gallery.api import legacy

app_name = "gallery"
urlpatterns = [
    path("imgsmlr/", views.search_page, name="search"),
    path("imgsmlr/table.csv", views.table_csv, name="table-csv"),
    path("imgsmlr/search", legacy.search, name="legacy-search"),
    path("imgsmlr/mgr/add", legacy.add, name="legacy-add"),
    path("media/images/<int:pk>/original", views.original, name="original"),
    path("media/images/<int:pk>/thumbnail", views.thumbnail, name="thumbnail"),
]

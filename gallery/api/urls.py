"""Paths of v1, below ``/api/v1/``."""

from django.urls import path

from gallery.api import shared_searches, views

urlpatterns = [
    path("images/", views.ImageCollection.as_view(), name="images"),
    path("images/batch/", views.ImageBatch.as_view(), name="image-batch"),
    path("images/search/", views.ImageSearch.as_view(), name="image-search"),
    path("images/shared/", shared_searches.SharedSearches.as_view(), name="shared-searches"),
    path(
        "images/shared/<str:token>/", shared_searches.OpenedSearch.as_view(), name="shared-search"
    ),
    path("images/compare/", views.ImageCompare.as_view(), name="image-compare"),
    path("images/<int:pk>/", views.ImageItem.as_view(), name="image"),
]

"""Paths of v1, below ``/api/v1/``."""

from django.urls import path

from gallery.api import views

urlpatterns = [
    path("images/", views.ImageCollection.as_view(), name="images"),
    path("images/batch/", views.ImageBatch.as_view(), name="image-batch"),
    path("images/search/", views.ImageSearch.as_view(), name="image-search"),
    path("images/compare/", views.ImageCompare.as_view(), name="image-compare"),
    path("images/<int:pk>/", views.ImageItem.as_view(), name="image"),
]

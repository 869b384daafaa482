"""Paths of v1 about videos, below ``/api/v1/``."""

from django.urls import path

from videos.api import media, searching, shared_searches, views

urlpatterns = [
    path("videos/", views.VideoCollection.as_view(), name="videos"),
    path("videos/search/", searching.VideoSearch.as_view(), name="video-search"),
    path(
        "videos/shared/",
        shared_searches.SharedVideoSearches.as_view(),
        name="shared-video-searches",
    ),
    path("videos/<int:pk>/similar/", searching.VideoSimilar.as_view(), name="video-similar"),
    path("videos/<int:pk>/", views.VideoItem.as_view(), name="video"),
    path("videos/<int:pk>/file/", media.file, name="video-file"),
    path("videos/<int:pk>/frame/", media.frame, name="video-frame"),
    path("videos/<int:pk>/thumbnail/", media.thumbnail, name="video-thumbnail"),
]

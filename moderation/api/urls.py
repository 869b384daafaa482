"""Paths of v1 about moderation, below ``/api/v1/moderation/``."""

from __future__ import annotations

from django.urls import path

from moderation.api import items, lists

urlpatterns = [
    path("lists/", lists.ListCollection.as_view(), name="lists"),
    path("lists/<int:pk>/", lists.ListItem.as_view(), name="list"),
    path(
        "lists/<int:pk>/methods/<str:match_type>/", lists.MethodItem.as_view(), name="list-method"
    ),
    path("lists/<int:pk>/items/", items.ItemCollection.as_view(), name="list-items"),
    path("lists/<int:pk>/items/batch/", items.ItemBatch.as_view(), name="list-item-batch"),
    path("lists/<int:pk>/items/retire/", items.Retire.as_view(), name="list-items-retire"),
    path("lists/<int:pk>/items/activate/", items.Activate.as_view(), name="list-items-activate"),
    path("lists/<int:pk>/items/opinion/", items.GiveOpinion.as_view(), name="list-items-opinion"),
    path("lists/<int:pk>/items/move/", items.Move.as_view(), name="list-items-move"),
    path("lists/<int:pk>/items/<int:item>/", items.ItemDetail.as_view(), name="list-item"),
]

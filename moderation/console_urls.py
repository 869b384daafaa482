"""Where the console's pages are, below the admin."""

from __future__ import annotations

from django.urls import path

from moderation.cases.console import (
    batches,
    bulk,
    dashboard,
    focus,
    legal_holds,
    lists,
    media,
    playing,
    preferences,
)
from moderation.pipeline import console as scans
from moderation.tuning.console import thresholds

app_name = "console"
urlpatterns = [
    path("", lists.queue_page, name="queue"),
    path("grid/", lists.grid_page, name="grid"),
    path("bulk/", bulk.bulk, name="bulk"),
    path("batches/<int:pk>/", batches.batch_page, name="batch"),
    path("preferences/", preferences.preferences, name="preferences"),
    path("next/", focus.next_case, name="next"),
    path("undo/", focus.undo_last, name="undo-last"),
    path("batches/undo/", batches.undo_page, name="undo"),
    path("matches/<int:pk>/<slug:step>/", thresholds.match_picture, name="match-picture"),
    path("items/<int:pk>/<slug:step>/", media.item_picture, name="item-picture"),
    path("second-opinions/", dashboard.second_opinions, name="second-opinions"),
    path("decisions.csv", dashboard.decisions_csv, name="decisions-csv"),
    path("cases/<int:pk>/packet/", dashboard.packet, name="packet"),
    path("scans/<int:pk>/", scans.scan_page, name="scan"),
    path("thresholds/", thresholds.overview, name="thresholds"),
    path("thresholds/<int:pk>/<slug:match_type>/", thresholds.threshold_page, name="threshold"),
    path(
        "thresholds/<int:pk>/<slug:match_type>/preview/",
        thresholds.preview_part,
        name="threshold-preview",
    ),
    path("cases/<int:pk>/", focus.case_page, name="case"),
    path("cases/<int:pk>/legal-hold/", legal_holds.case_hold, name="legal-hold"),
    path("cases/<int:pk>/decide/", focus.decide, name="decide"),
    path("cases/<int:pk>/skip/", focus.skip, name="skip"),
    path("cases/<int:pk>/presence/", focus.presence, name="presence"),
    path("cases/<int:pk>/release/", focus.release, name="release"),
    path("cases/<int:pk>/media/<slug:step>/", media.subject, name="subject"),
    path("cases/<int:pk>/media/<int:match>/<slug:step>/", media.item, name="item"),
    path("cases/<int:pk>/video/", playing.play, name="play"),
    path("cases/<int:pk>/video/<slug:copy>/", playing.video, name="video"),
]

"""URLs of the console's pages, below the admin."""

from __future__ import annotations

from django.urls import path

from moderation.cases.console import (
    batches,
    bulk,
    case_page,
    golden_cases,
    legal_holds,
    media,
    preferences,
    queue_pages,
    reports,
    second_opinions,
)
from moderation.gates.console import gates_page
from moderation.pipeline import console as scans
from moderation.reports import console as reporting
from moderation.tuning import console

app_name = "console"
urlpatterns = [
    path("", queue_pages.queue_page, name="queue"),
    path("grid/", queue_pages.grid_page, name="grid"),
    path("bulk/", bulk.bulk, name="bulk"),
    path("batches/<int:pk>/", batches.batch_page, name="batch"),
    path("gates/", gates_page, name="gates"),
    path("preferences/", preferences.preferences, name="preferences"),
    path("next/", case_page.next_case, name="next"),
    path("undo/", case_page.undo_last, name="undo-last"),
    path("batches/undo/", batches.undo_page, name="undo"),
    path("matches/<int:pk>/<slug:step>/", console.match_picture, name="match-picture"),
    path("items/<int:pk>/<slug:step>/", media.item_picture, name="item-picture"),
    path("second-opinions/", second_opinions.second_opinions, name="second-opinions"),
    path("golden/", golden_cases.golden_cases, name="golden"),
    path("decisions.csv", reports.decisions_csv, name="decisions-csv"),
    path("cases/<int:pk>/packet/", reports.case_report, name="packet"),
    path("notices/", reporting.notices_page, name="notices"),
    path("notices/<int:pk>/", reporting.notice_page, name="notice"),
    path("transparency/", reporting.transparency_page, name="transparency"),
    path(
        "transparency/<slug:month>/<slug:form>/",
        reporting.transparency_file,
        name="transparency-file",
    ),
    path("cases/<int:pk>/cybertip/", reporting.cybertip_page, name="cybertip"),
    path("scans/<int:pk>/", scans.scan_page, name="scan"),
    path("thresholds/", console.overview, name="thresholds"),
    path("thresholds/<int:pk>/<slug:match_type>/", console.threshold_page, name="threshold"),
    path(
        "thresholds/<int:pk>/<slug:match_type>/preview/",
        console.preview_part,
        name="threshold-preview",
    ),
    path("cases/<int:pk>/", case_page.case_page, name="case"),
    path("cases/<int:pk>/legal-hold/", legal_holds.case_hold, name="legal-hold"),
    path("cases/<int:pk>/decide/", case_page.decide, name="decide"),
    path("cases/<int:pk>/skip/", case_page.skip, name="skip"),
    path("cases/<int:pk>/presence/", case_page.presence, name="presence"),
    path("cases/<int:pk>/release/", case_page.release, name="release"),
    path("cases/<int:pk>/media/<slug:step>/", media.subject, name="subject"),
    path("cases/<int:pk>/media/<int:match>/<slug:step>/", media.item, name="item"),
    path("cases/<int:pk>/video/", media.play, name="play"),
    path("cases/<int:pk>/video/<slug:copy>/", media.video, name="video"),
]

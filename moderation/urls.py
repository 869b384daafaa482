"""Paths of v1 about moderation, below ``/api/v1/moderation/``."""

from __future__ import annotations

from django.urls import path

from moderation.cases.api import reports, views
from moderation.exchanges import api as exchanges
from moderation.imports import api as imports
from moderation.lists.api import changes, items, lists
from moderation.pipeline import api as checking
from moderation.reports import api as accountability
from moderation.tuning import api as thresholds
from moderation.webhooks import api as webhooks

urlpatterns = [
    path("batches/<int:pk>/", views.BatchItem.as_view(), name="batch"),
    path("batches/<int:pk>/undo/", views.UndoBatch.as_view(), name="batch-undo"),
    path("cases/", views.CaseCollection.as_view(), name="cases"),
    path("cases/next/", views.NextCase.as_view(), name="case-next"),
    path("cases/decide/", views.DecideMany.as_view(), name="cases-decide"),
    path("cases/<int:pk>/", views.CaseItem.as_view(), name="case"),
    path("cases/<int:pk>/claim/", views.ClaimCase.as_view(), name="case-claim"),
    path("cases/<int:pk>/release/", views.ReleaseCase.as_view(), name="case-release"),
    path("cases/<int:pk>/decide/", views.Decide.as_view(), name="case-decide"),
    path("cases/<int:pk>/packet/", reports.CaseReport.as_view(), name="case-packet"),
    path("cases/<int:pk>/legal_hold/", views.LegalHold.as_view(), name="case-legal-hold"),
    path(
        "cases/<int:pk>/legal_hold/lift/",
        views.LiftLegalHold.as_view(),
        name="case-legal-hold-lift",
    ),
    path(
        "cases/<int:pk>/statement/", accountability.CaseStatement.as_view(), name="case-statement"
    ),
    path("cases/<int:pk>/appeal/", views.Appeal.as_view(), name="case-appeal"),
    path("changes/", changes.ListChanges.as_view(), name="changes"),
    path("changes/<int:pk>/confirm/", changes.ConfirmChange.as_view(), name="change-confirm"),
    path("changes/<int:pk>/refuse/", changes.RefuseChange.as_view(), name="change-refuse"),
    path("check/", checking.Check.as_view(), name="check"),
    path("check/batch/", checking.CheckBatch.as_view(), name="check-batch"),
    path("exchanges/", exchanges.ExchangeCollection.as_view(), name="exchanges"),
    path("exchanges/<int:pk>/", exchanges.ExchangeItem.as_view(), name="exchange"),
    path("exchanges/<int:pk>/pull/", exchanges.PullNow.as_view(), name="exchange-pull"),
    path("exchanges/<int:pk>/ask/", exchanges.AskAboutStored.as_view(), name="exchange-ask"),
    path("exchanges/<int:pk>/pulls/", exchanges.Pulls.as_view(), name="exchange-pulls"),
    path("exchanges/<int:pk>/undo/", exchanges.UndoPull.as_view(), name="exchange-undo"),
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
    path("lists/<int:pk>/export/<str:form>/", imports.ExportList.as_view(), name="list-export"),
    path(
        "lists/<int:pk>/thresholds/<str:match_type>/",
        thresholds.Threshold.as_view(),
        name="list-threshold",
    ),
    path("decisions.csv", reports.Decisions.as_view(), name="decisions-csv"),
    path("notices/", accountability.Notices.as_view(), name="notices"),
    path("notices/<int:pk>/", accountability.NoticeItem.as_view(), name="notice-item"),
    path(
        "notices/<int:pk>/contact/", accountability.NoticeContact.as_view(), name="notice-contact"
    ),
    path("notices/<str:receipt>/", accountability.NoticeByReceipt.as_view(), name="notice"),
    path("statistics/", reports.Statistics.as_view(), name="statistics"),
    path("imports/", imports.ImportCollection.as_view(), name="imports"),
    path("imports/<int:pk>/", imports.ImportItem.as_view(), name="import"),
    path("imports/<int:pk>/confirm/", imports.ConfirmImport.as_view(), name="import-confirm"),
    path("imports/<int:pk>/discard/", imports.DiscardImport.as_view(), name="import-discard"),
    path("imports/<int:pk>/undo/", imports.UndoImport.as_view(), name="import-undo"),
    path("imports/<int:pk>/bad_rows/", imports.BadRows.as_view(), name="import-bad-rows"),
    path("webhooks/", webhooks.WebhookCollection.as_view(), name="webhooks"),
    path("webhooks/try_again/", webhooks.TryAgain.as_view(), name="webhooks-try-again"),
    path("webhooks/<int:pk>/", webhooks.WebhookItem.as_view(), name="webhook"),
    path("webhooks/<int:pk>/secret/", webhooks.RenewSecret.as_view(), name="webhook-secret"),
    path("webhooks/<int:pk>/test/", webhooks.TestWebhook.as_view(), name="webhook-test"),
    path("webhooks/<int:pk>/deliveries/", webhooks.Deliveries.as_view(), name="deliveries"),
]

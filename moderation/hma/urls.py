"""The addresses of HMA's API. Coop's own address ends in a slash, so its paths begin with two."""

from __future__ import annotations

from django.urls import include, path, re_path

from moderation.hma import views

calls = [
    path("h/hash", views.Hash.as_view(), name="hma-hash"),
    path("m/lookup", views.Lookup.as_view(), name="hma-lookup"),
    path("m/raw_lookup", views.RawLookup.as_view(), name="hma-raw-lookup"),
    path("m/compare", views.Compare.as_view(), name="hma-compare"),
    path("m/index/status", views.IndexStatus.as_view(), name="hma-index-status"),
    path("c/banks", views.Banks.as_view(), name="hma-banks"),
    path("c/bank/<str:name>", views.OneBank.as_view(), name="hma-bank"),
    path("c/bank/<str:name>/content", views.BankContents.as_view(), name="hma-contents"),
    path("c/bank/<str:name>/content/<int:item>", views.OneContent.as_view(), name="hma-content"),
    path("c/bank/<str:name>/signal", views.BankSignals.as_view(), name="hma-signals"),
    path("c/exchanges", views.Exchanges.as_view(), name="hma-exchanges"),
    path("c/exchanges/apis", views.ExchangeApis.as_view(), name="hma-exchange-apis"),
    path("c/exchanges/api/<str:name>", views.ExchangeApi.as_view(), name="hma-exchange-api"),
    path("c/exchange/<str:name>", views.OneExchange.as_view(), name="hma-exchange"),
    path(
        "c/exchange/<str:name>/status", views.ExchangeStatus.as_view(), name="hma-exchange-status"
    ),
    path("c/signal_type", views.SignalTypes.as_view(), name="hma-signal-types"),
    path("c/signal_type/index", views.SignalTypeIndex.as_view(), name="hma-index"),
    path("c/signal_type/<str:name>", views.SignalType.as_view(), name="hma-signal-type"),
    path("status", views.status, name="hma-status"),
    path("status/live", views.status, name="hma-live"),
]

urlpatterns = [re_path(r"^/*", include(calls))]

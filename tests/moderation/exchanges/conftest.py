"""Exchanges on this machine, which a setting allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from imgsmlr_site.env import LOOPBACK
from moderation.exchanges import editing, matching
from moderation.exchanges.models import Exchange
from moderation.lists.models import BannedList
from tests.moderation.exchanges.servers import Service
from tests.moderation.factories import ADMIN, make_list

CREDENTIALS = {
    "threatexchange": {"token": "123|secret-token"},
    "stopncii": {"subscription": "subscribed", "fetch": "f1", "feedback": "f2"},
    "ncmec": {"user": "us", "password": "pw"},
    "arachnid_shield": {"user": "us", "password": "pw"},
}
PATHS = {"stopncii": "/v1", "ncmec": "/hashsharing"}
MakeExchange = Callable[..., Exchange]


@pytest.fixture(autouse=True)
def _loopback(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.EXCHANGE_ALLOW_PRIVATE, settings.EXCHANGE_TIMEOUT = LOOPBACK, 1.0
    monkeypatch.setattr(matching, "TIMEOUT", 0.5)


@pytest.fixture
def make_exchange() -> MakeExchange:
    def make(service: str, server: Service, **fields: Any) -> Exchange:
        on: BannedList = fields.pop("list", None) or make_list()
        values = {"name": service, "enabled": True, "ask_first": False, "list_id": on.pk}
        if service == "threatexchange":
            values["group"] = "42"
        return editing.create_exchange(
            by=ADMIN,
            service=service,
            credentials=CREDENTIALS[service],
            url=server.url + PATHS.get(service, ""),
            **(values | fields),
        )

    return make

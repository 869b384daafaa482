"""Exchanges as HMA describes them."""

from __future__ import annotations

from typing import Any, Final

from gallery.shared.errors import NotFound, UserError
from moderation.exchanges.clients import CLIENTS, Service
from moderation.exchanges.models import Exchange, Pull
from moderation.hma.banks import shown_name

APIS: Final = {
    "fb_threatexchange": Service.THREATEXCHANGE,
    "ncmec": Service.NCMEC,
    "stop_ncii": Service.STOPNCII,
}
"""HMA's name → service. Services that match themselves are no exchanges there."""


def names() -> list[str]:
    return sorted(_rows())


def apis() -> list[str]:
    return list(APIS)


def api(name: str) -> dict[str, bool]:
    """The second key is spelt as HMA spells it."""
    if name not in APIS:
        raise UserError(f"no such Exchange API '{name}'")
    there = Exchange.objects.filter(service=APIS[name]).exists()
    return {"supports_authentification": True, "has_set_authentification": there}


def described(name: str) -> dict[str, Any]:
    row = _row(name)
    kind = next(api for api, service in APIS.items() if service == row.service)
    found: dict[str, Any] = {"name": name, "api": kind, "enabled": row.enabled}
    return found | ({"privacy_group": int(row.group)} if row.group.isdecimal() else {})


def status(name: str) -> dict[str, Any]:
    row = _row(name)
    open_pull = row.pulls.filter(state=Pull.State.FETCHING).first()
    return {
        "checkpoint_ts": row.checkpoint.get("time"),
        "running_fetch_start_ts": int(open_pull.started_at.timestamp()) if open_pull else None,
        "last_fetch_complete_ts": int(row.succeeded_at.timestamp()) if row.succeeded_at else None,
        "last_fetch_succeeded": None if row.succeeded_at is None else row.failures == 0,
        "up_to_date": row.enabled and row.succeeded_at is not None and not row.is_failing,
        "fetched_items": row.list.items.filter(
            state="active", source=CLIENTS[row.service].SOURCE
        ).count(),
    }


def _row(name: str) -> Exchange:
    found = _rows().get(name)
    if found is None:
        raise NotFound(f"Exchange '{name}' not found")
    return found


def _rows() -> dict[str, Exchange]:
    rows = Exchange.objects.pulled().select_related("list")
    return {shown_name(row.name) or f"EXCHANGE_{row.pk}": row for row in rows}

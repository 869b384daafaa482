"""The services: how each is spoken to. ``base`` has the protocol that all follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db.models import TextChoices

from moderation.exchanges.clients import arachnid_shield, ncmec, stopncii, threatexchange
from moderation.exchanges.clients.base import Client


class Service(TextChoices):
    THREATEXCHANGE = "threatexchange", "ThreatExchange"
    STOPNCII = "stopncii", "StopNCII"
    NCMEC = "ncmec", "NCMEC hash sharing"
    ARACHNID_SHIELD = "arachnid_shield", "Arachnid Shield"


CLIENTS: Final[Mapping[str, type[Client]]] = {
    Service.THREATEXCHANGE: threatexchange.ThreatExchange,
    Service.STOPNCII: stopncii.StopNCII,
    Service.NCMEC: ncmec.Ncmec,
}
"""Service → client, of exchanges whose hashes are stored here."""

URLS: Final[Mapping[str, str]] = {
    **{name: client.URL for name, client in CLIENTS.items()},
    Service.ARACHNID_SHIELD: arachnid_shield.URL,
}

CREDENTIALS: Final[Mapping[str, Mapping[str, str]]] = {
    **{name: client.CREDENTIALS for name, client in CLIENTS.items()},
    Service.ARACHNID_SHIELD: arachnid_shield.CREDENTIALS,
}
"""Service → names of its credentials → labels."""

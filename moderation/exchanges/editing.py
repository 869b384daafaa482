"""Create, change and delete exchanges. Their credentials are stored encrypted and never shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django_q.tasks import async_task

from gallery.net.transport import FetchFailed, Target
from gallery.shared import encryption
from gallery.shared.errors import Conflict, NotFound, UserError
from moderation.access.permissions import Actor, check
from moderation.audit import trail
from moderation.exchanges.clients import CLIENTS, CREDENTIALS, Service
from moderation.exchanges.clients.base import Client, ServiceFailed, Session
from moderation.exchanges.models import Exchange, Pull
from moderation.lists import rescans
from moderation.lists.models import BannedList, RetroScan

PURPOSE: Final = "exchanges"
"""Of the key that encrypts credentials."""

CLUSTER: Final = "lists"
SWITCHED_ON: Final = gettext_noop("a remote service was switched on")
ASKED_FOR: Final = gettext_noop("a person asked for it")
FIELDS: Final = (
    "name", "list_id", "url", "group", "negative_reason", "enabled", "minutes", "ask_first",
    "feedback", "hold_unanswered",
)  # fmt: skip
LEAST_MINUTES, MOST_MINUTES = 5, 7 * 24 * 60


class InvalidExchange(UserError):
    """A field of an exchange is not valid."""


@transaction.atomic
def create_exchange(
    *, by: Actor, service: str, credentials: Mapping[str, str], **fields: Any
) -> Exchange:
    """Create an exchange. It does nothing until it is enabled.

    ``fields``: some of ``FIELDS``. Raises ``NotAllowed``, ``InvalidExchange``, and ``Conflict`` if
    the name is taken.
    """
    check(by, "edit exchanges")
    if service not in Service.values:
        raise InvalidExchange(f"{service!r} is none of {', '.join(Service.values)}.")
    row = Exchange(service=service)
    _set(row, fields, credentials)
    _save(row)
    trail.record(by=by.name, verb="exchange.created", subject=row, after=_facts(row))
    if row.is_remote and row.enabled:
        rescans.ask_services(by=by, list_id=row.list_id, reason=SWITCHED_ON)
    return row


@transaction.atomic
def change_exchange(
    *, by: Actor, exchange_id: int, credentials: Mapping[str, str], **fields: Any
) -> Exchange:
    """Set some of ``FIELDS``. Credentials that are not given or empty stay as they are.

    Credentials are never sent to another host than the one that they were entered for: if the host
    changes, they must be given again. Raises as ``create_exchange``, and ``NotFound``.
    """
    check(by, "edit exchanges")
    row = _locked(exchange_id)
    before, address, source = _facts(row), row.url, (row.group, row.list_id)
    given = {name: value for name, value in credentials.items() if value}
    try:
        kept = credentials_of(row)
    except ServiceFailed:
        kept = {}
    host = urlsplit(address).netloc
    if urlsplit(str(fields.get("url", address))).netloc != host:
        kept = {}
    _set(row, fields, {**kept, **given})
    if given:
        row.failures, row.failure, row.feedback_failures = 0, "", 0
        row.feedback_at = timezone.now()
    if row.url != address or (row.group, row.list_id) != source:
        # What was pulled so far says nothing about the other source, or for the other list.
        row.checkpoint = {}
        Pull.objects.filter(exchange=row, state__in=Pull.OPEN).delete()
    if row.enabled:
        row.next_at = timezone.now()
    _save(row)
    after = _facts(row)
    if given:
        after["new_credentials"] = sorted(given)
    if after != before:
        trail.record(by=by.name, verb="exchange.changed", subject=row, before=before, after=after)
    another = any(before[name] != after[name] for name in ("enabled", "list_id", "url"))
    if row.is_remote and row.enabled and another:
        rescans.ask_services(by=by, list_id=row.list_id, reason=SWITCHED_ON)
    return row


@transaction.atomic
def delete_exchange(*, by: Actor, exchange_id: int) -> None:
    """Delete an exchange with its credentials. The items that came from it stay."""
    check(by, "edit exchanges")
    row = _locked(exchange_id)
    before = _facts(row)
    row.delete()
    trail.record(
        by=by.name, verb="exchange.deleted", subject=Exchange(pk=exchange_id), before=before
    )


@transaction.atomic
def pull_now(*, by: Actor, exchange_id: int, from_start: bool = False) -> Exchange:
    """Pull in the background as soon as a worker is free. ``from_start``: everything again."""
    check(by, "pull from exchanges")
    row = _locked(exchange_id)
    if row.is_remote:
        raise Conflict("Nothing is pulled from this service: it is asked about each upload.")
    if not row.enabled:
        raise Conflict("The exchange is switched off.")
    row.next_at = timezone.now()
    if from_start:
        row.checkpoint = {}
        Pull.objects.filter(exchange=row, state__in=Pull.OPEN).delete()
    row.save(update_fields=["next_at", "checkpoint"])
    trail.record(
        by=by.name, verb="exchange.pull_asked", subject=row, after={"from_start": from_start}
    )
    async_task("moderation.tasks.pull_exchanges", cluster=CLUSTER)
    return row


@transaction.atomic
def ask_about_stored(*, by: Actor, exchange_id: int) -> RetroScan:
    """Ask a remote service about all that is stored, in the background and at a limited rate."""
    check(by, "pull from exchanges")
    row = _locked(exchange_id)
    if not row.is_remote:
        raise Conflict("This exchange is pulled from: a scan compares what is stored here.")
    if not row.enabled:
        raise Conflict("The exchange is switched off.")
    scan = rescans.ask_services(by=by, list_id=row.list_id, reason=ASKED_FOR)
    trail.record(by=by.name, verb="exchange.asked_about_stored", subject=row)
    return scan


def credentials_of(row: Exchange) -> dict[str, str]:
    """Raises ``ServiceFailed`` if ``SECRET_KEY`` is another one than when they were entered."""
    try:
        found: dict[str, str] = orjson.loads(encryption.decrypt(row.credentials, PURPOSE))
    except encryption.Unreadable:
        raise ServiceFailed(
            "The credentials were entered with another SECRET_KEY and cannot be read. Restore that "
            "key, or enter the credentials again."
        ) from None
    return found


def stored_credentials(row: Exchange) -> set[str]:
    """Return the names of those that are stored and can be read."""
    try:
        return set(credentials_of(row))
    except ServiceFailed:
        return set()


def session_of(row: Exchange, timeout: float) -> Session:
    return Session(row.url, credentials_of(row), timeout)


def client_of(row: Exchange) -> Client:
    session = session_of(row, settings.EXCHANGE_TIMEOUT)
    return CLIENTS[row.service](session, row.group)


def _set(row: Exchange, fields: Mapping[str, Any], credentials: Mapping[str, str]) -> None:
    if unknown := fields.keys() - set(FIELDS):
        raise TypeError(f"an exchange has no {', '.join(sorted(unknown))}")
    for name, value in fields.items():
        setattr(row, name, value)
    row.name = " ".join(row.name.split())
    if not 0 < len(row.name) <= 100:
        raise InvalidExchange(_("Give a name of 1 to 100 characters."), field="name")
    row.url = _url(row.url)
    _check_list(row)
    if not LEAST_MINUTES <= row.minutes <= MOST_MINUTES:
        raise InvalidExchange(
            _("Pull every %(least)s to %(most)s minutes.")
            % {"least": LEAST_MINUTES, "most": f"{MOST_MINUTES:,}"},
            field="minutes",
        )
    if row.service == Service.THREATEXCHANGE and not row.group.isdecimal():
        raise InvalidExchange(_("Give the id of the privacy group, a number."), field="group")
    labels = CREDENTIALS[row.service]
    for name, label in labels.items():
        needed = name != "feedback" or row.feedback
        if needed and not credentials.get(name):
            raise InvalidExchange(
                _("Enter it (%(label)s). It belongs to one host: after a change of the host it is "
                  "entered again.") % {"label": label},
                field=name,
            )  # fmt: skip
    if row.service == Service.NCMEC and row.feedback and not row.negative_reason:
        raise InvalidExchange(
            _("Feedback needs the reason that is given for items that do not belong on the list."),
            field="negative_reason",
        )
    chosen = {name: credentials[name] for name in labels if credentials.get(name)}
    if any(not value.isprintable() for value in chosen.values()):
        raise InvalidExchange(_("A credential holds characters that cannot be sent."))
    row.credentials = encryption.encrypt(orjson.dumps(chosen).decode(), PURPOSE)


def _check_list(row: Exchange) -> None:
    found = BannedList.objects.filter(pk=row.list_id).first()
    if found is None:
        raise NotFound(_("Choose a list."), field="list")
    same = Exchange.objects.filter(list=found, service=row.service).exclude(pk=row.pk)
    if same.exists():
        raise InvalidExchange(
            _("This list has an exchange with this service already: choose another list."),
            field="list",
        )
    if found.is_allow_list:
        raise InvalidExchange(
            _("An allow list takes nothing from others: choose a list of banned content."),
            field="list",
        )


def _url(text: str) -> str:
    try:
        target = Target.parse(text, "")
    except FetchFailed as error:
        raise InvalidExchange(error.message, field="url") from error
    if target.scheme != "https" and not settings.EXCHANGE_ALLOW_PRIVATE:
        raise InvalidExchange(
            _("The address must begin with https://, as credentials are sent to it."), field="url"
        )
    if "?" in text or "#" in text:
        raise InvalidExchange(_("Give the address without ? and #."), field="url")
    return text.strip().rstrip("/")


def _facts(row: Exchange) -> dict[str, Any]:
    """Return the audit's record of an exchange, without credentials."""
    return {"service": row.service, **{name: getattr(row, name) for name in FIELDS}}


def _save(row: Exchange) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise Conflict(
            _("There is an exchange named %(name)s already.") % {"name": row.name}, field="name"
        ) from None


def _locked(exchange_id: int) -> Exchange:
    row = Exchange.objects.select_for_update().filter(pk=exchange_id).first()
    if row is None:
        raise NotFound(f"There is no exchange {exchange_id}.")
    return row

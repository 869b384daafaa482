"""HMA's API over HTTP: its addresses, parameters and answers, and nothing else.

Facts of HMA that clients rely on: errors are ``{"message": text}``, distances are text, and the
shape of a look-up's answer depends on its parameters. docs/hma.md says what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import orjson
from django.db import DatabaseError, connection
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from gallery.api.facades import FacadeView, value_in
from gallery.imaging.decoding.limits import TooLarge
from gallery.items import conf
from gallery.shared.access import access_of
from gallery.shared.errors import Conflict, UserError
from moderation.access.permissions import Actor, Role, check
from moderation.hma import banks, exchanges, lookups, signals
from moderation.hma.lookups import Asked
from moderation.hma.signals import CONTENT_TYPES, SIGNALS, Media
from moderation.lists import policies
from moderation.lists.models import BannedHash, BannedItem

FILE_COST: Final = 3
SET_UP_ELSEWHERE: Final = "Exchanges are set up in the console, by an admin."
TRUE: Final = ("true", "1", "yes", "on")


def actor_of(request: Request) -> Actor:
    """Return the caller: a key without a user, and an open client, may do what a lead may."""
    access = access_of(request)
    user = getattr(access, "user", None)
    role = Role.LEAD if user is None else getattr(access, "role", Role.NOBODY)
    return Actor(access.actor, role, user, access.via == "key", access.client)


class HmaView(FacadeView):
    scope: ClassVar[str] = "hma"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        check(actor_of(request), "see matches")

    def error_body(self, error: Exception, sentence: str) -> dict[str, Any]:
        return {"message": sentence}

    def error_status(self, error: Exception, status: int) -> int:
        return 403 if isinstance(error, banks.BankExists) else status


def required(request: Request, name: str) -> str:
    value = request.query_params.get(name)
    if not value:
        raise UserError(f"{name} is required")
    return str(value)


def uploaded(request: Request) -> Any:
    """Return the only file of a form, whose field is named as its content type."""
    files = request.FILES
    if not files:
        raise UserError("Missing multipart/form-data file upload")
    if sum(len(files.getlist(name)) for name in files) > 1:
        raise UserError("Only one file allowed per request")
    (name,) = files
    _check_content_type(name)
    return files[name]


def media_of(request: Request) -> Media:
    """Return the file at ``url``, or the uploaded one."""
    if request.method == "POST":
        file = uploaded(request)
        most = conf.limits().max_bytes
        if file.size > most:
            raise TooLarge(f"The file has {file.size:,} bytes, more than the {most:,} accepted.")
        return Media(file.read(), file.field_name)
    content_type = request.query_params.get("content_type") or None
    if content_type is not None:
        _check_content_type(content_type)
    return signals.fetched(required(request, "url"), content_type)


def _check_content_type(name: str) -> None:
    if name not in CONTENT_TYPES:
        raise UserError(f"no such content_type: '{name}'")


def ratio_of(value: object) -> float:
    """Return a share. Clients also send it as text."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError("enabled_ratio is a number from 0 to 1.") from None


def given(request: Request) -> dict[str, Any]:
    if not isinstance(request.data, Mapping):
        raise UserError("this endpoint expects a json object payload")
    return dict(request.data.items())


class Hash(HmaView):
    """Hash a file, and compare it, so that its look-up by hash finds copies too."""

    throttle_cost = FILE_COST

    def get(self, request: Request) -> Response:
        media = media_of(request)
        wanted = signals.wanted_types(request.query_params.get("types"), media.content_type)
        lists = policies.current()
        pdq = None
        if lists and media.content_type == "photo":
            pdq = lookups.compared(media, lists).pdq
        return Response(media.hashes(wanted, pdq))

    post = get


class Lookup(HmaView):
    def throttle_cost(self, request: Request) -> int:
        by_file = request.method == "POST" or "url" in request.query_params
        return FILE_COST if by_file else 1

    def get(self, request: Request) -> Response:
        asked = asked_of(request)
        name = request.query_params.get("signal_type")
        if request.query_params.get("url"):
            found = lookups.by_file(media_of(request), asked)
            return Response(lookups.merged(found) if name else found)
        value = required(request, "signal")
        name = required(request, "signal_type")
        value = signals.signal(name).parse(name, value)
        return Response(lookups.by_signal(name, value, asked))

    def post(self, request: Request) -> Response:
        return Response(lookups.by_file(media_of(request), asked_of(request)))


def asked_of(request: Request) -> Asked:
    """``bypass_coinflip`` counts in a POST only, as in HMA."""
    names = request.query_params.get("banks", "").split(",")
    bypasses = request.query_params.get("bypass_coinflip", "").lower() in TRUE
    return Asked(
        names=frozenset(name.strip() for name in names if name.strip()),
        seed=request.query_params.get("seed"),
        bypass=bypasses and request.method == "POST",
    )


class RawLookup(HmaView):
    def get(self, request: Request) -> Response:
        value, name = required(request, "signal"), required(request, "signal_type")
        value = signals.signal(name).parse(name, value)
        found = lookups.raw(name, value, asked_of(request))
        if request.query_params.get("include_distance", "").lower() not in TRUE:
            return Response({"matches": [match.item_id for match in found]})
        rows = [
            {"bank_content_id": match.item_id, "distance": lookups.distance_text(match)}
            for match in found
        ]
        return Response({"matches": rows})


class Compare(HmaView):
    def post(self, request: Request) -> Response:
        pairs = given(request)
        if not pairs:
            raise UserError("Give two hashes by their signal type.")
        return Response({name: signals.compared(name, pair) for name, pair in pairs.items()})


class Banks(HmaView):
    def get(self, request: Request) -> Response:
        return Response([bank.as_dict() for bank in banks.all_banks().values()])

    def post(self, request: Request) -> Response:
        body = given(request)
        name = body.get("name")
        if not isinstance(name, str):
            raise UserError("Field `name` is required")
        bank = banks.create(by=actor_of(request), name=name, ratio=_ratio_in(body, 1.0) or 0.0)
        return Response(bank.as_dict(), status=201)


def _ratio_in(body: Mapping[str, Any], default: float | None) -> float | None:
    if "enabled_ratio" in body:
        return ratio_of(body["enabled_ratio"])
    if "enabled" in body:
        return float(str(body["enabled"]).lower() in TRUE)
    return default


class OneBank(HmaView):
    def get(self, request: Request, name: str) -> Response:
        return Response(banks.find(name).as_dict())

    def put(self, request: Request, name: str) -> Response:
        body = given(request)
        new_name = body.get("name")
        if new_name is not None and not isinstance(new_name, str):
            raise UserError("Field `name` is text")
        ratio = _ratio_in(body, None)
        bank = banks.change(by=actor_of(request), name=name, new_name=new_name, ratio=ratio)
        return Response(bank.as_dict())

    def delete(self, request: Request, name: str) -> Response:
        banks.delete(by=actor_of(request), name=name)
        return Response({"message": "Done"})


class BankContents(HmaView):
    throttle_cost = FILE_COST

    def post(self, request: Request, name: str) -> Response:
        url = request.query_params.get("url")
        if not url and not request.FILES:
            raise UserError("Neither `url` nor multipart file upload was received")
        added = banks.add_file(
            by=actor_of(request),
            name=name,
            note=str(value_in(request, "note") or ""),
            metadata=_metadata(request),
            url=url,
            file=None if url else uploaded(request),
        )
        return Response(added)


def _metadata(request: Request) -> dict[str, Any]:
    value = value_in(request, "metadata")
    if isinstance(value, str) and value:
        try:
            value = orjson.loads(value)
        except ValueError:
            raise UserError("metadata should be a json object") from None
    if not value:
        return {}
    if not isinstance(value, dict):
        raise UserError("metadata should be a json object")
    unknown = value.keys() - {"content_id", "content_uri", "json"}
    if unknown:
        raise UserError(f"metadata contains unexpected keys: {', '.join(sorted(unknown))}")
    return value


class BankSignals(HmaView):
    def post(self, request: Request, name: str) -> Response:
        return Response(banks.add_signals(by=actor_of(request), name=name, signals=given(request)))


class OneContent(HmaView):
    def get(self, request: Request, name: str, item: int) -> Response:
        return Response(banks.content(name, item).as_dict())

    def put(self, request: Request, name: str, item: int) -> Response:
        body = given(request)
        note = body.get("note")
        if note is not None and not (isinstance(note, str) and len(note) <= 255):
            raise UserError("note is a text of up to 255 characters")
        changed = banks.change_content(
            by=actor_of(request),
            name=name,
            item_id=item,
            until=_time(body["disable_until_ts"]) if "disable_until_ts" in body else None,
            note=note,
            disables="disable_until_ts" in body,
        )
        return Response(changed.as_dict())

    def delete(self, request: Request, name: str, item: int) -> Response:
        return Response({"deleted": banks.retire(by=actor_of(request), name=name, item_id=item)})


def _time(value: object) -> datetime | None:
    """Return the time of a Unix time in seconds; None for 0, which means enabled."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise UserError("disable_until_ts is a Unix time in seconds, or 0")
    return datetime.fromtimestamp(value, UTC) if value else None


class Exchanges(HmaView):
    """Read only: exchanges are set up in the console, by an admin."""

    def get(self, request: Request) -> Response:
        return Response(exchanges.names())

    def post(self, request: Request) -> Response:
        raise UserError(SET_UP_ELSEWHERE)


class ExchangeApis(HmaView):
    def get(self, request: Request) -> Response:
        return Response(exchanges.apis())


class ExchangeApi(HmaView):
    def get(self, request: Request, name: str) -> Response:
        return Response(exchanges.api(name))

    def post(self, request: Request, name: str) -> Response:
        raise UserError(SET_UP_ELSEWHERE)


class OneExchange(HmaView):
    def get(self, request: Request, name: str) -> Response:
        return Response(exchanges.described(name))

    def put(self, request: Request, name: str) -> Response:
        raise UserError(SET_UP_ELSEWHERE)

    delete = put


class ExchangeStatus(HmaView):
    def get(self, request: Request, name: str) -> Response:
        return Response(exchanges.status(name))


class SignalTypes(HmaView):
    def get(self, request: Request) -> Response:
        return Response([{"name": name, "enabled_ratio": 1.0} for name in SIGNALS])


class SignalType(HmaView):
    def put(self, request: Request, name: str) -> Response:
        signals.signal(name)
        raise Conflict("Signal types are set for each list, in the console.")


class IndexStatus(HmaView):
    """Every change counts from the next request on: the index is never out of date."""

    def get(self, request: Request) -> Response:
        now = int(datetime.now(UTC).timestamp())
        return Response({name: self.described(size, now) for name, size in _sizes(request).items()})

    def described(self, size: int, now: int) -> dict[str, Any]:
        return {"present": True, "built_to": now, "size": size}


class SignalTypeIndex(IndexStatus):
    """The same in the words of another address."""

    def described(self, size: int, now: int) -> dict[str, Any]:
        return {
            "db_size": size,
            "index_size": size,
            "index_out_of_date": False,
            "newest_db_item": now,
            "index_built_to": now,
        }


def _sizes(request: Request) -> dict[str, int]:
    """Return how many hashes are compared, by signal type."""
    wanted = request.query_params.get("signal_type")
    items = BannedItem.objects.matching()
    return {
        name: BannedHash.objects.filter(kind=signals.signal(name).kind, item__in=items).count()
        for name in ([wanted] if wanted else SIGNALS)
    }


def status(request: object) -> HttpResponse:
    """Say whether look-ups can be answered. Needs no key, as probes have none."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("INDEX-NOT-LOADED", content_type="text/plain", status=503)
    return HttpResponse("I-AM-ALIVE", content_type="text/plain")

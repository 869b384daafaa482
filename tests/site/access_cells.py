"""Who asks what of the whole service: callers, rows to ask about, and each route with a body.

Routes come from the URL map, so that a new one is asked by the next run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from gallery.items.models import Image
from imgsmlr_site.accounts.sessions import SEEN
from imgsmlr_site.models import ApiKey, Scope
from moderation.access.permissions import Role
from moderation.audit import trail
from moderation.cases.models import CaseMatch, DecisionBatch
from moderation.exchanges.models import Exchange
from moderation.imports.models import ListImport
from moderation.lists.models import BannedList, ListChange, RetroScan
from moderation.lists.verdicts import Action
from moderation.reports.models import Notice
from moderation.webhooks.models import Delivery, Webhook
from tests.factories import jpeg, photo
from tests.moderation.factories import make_case, make_item, make_list, make_person
from videos.models import Video

OPEN, ELSEWHERE = "127.0.0.1", "192.0.2.7"
STATES = ("ready own", "ready other", "pending other", "quarantined own", "quarantined other")
SKIPPED = (
    "metrics", "api/schema/", "api/docs/", "favicon.ico", "language/", "texts/",
    "admin/jsi18n/", "admin/r/", "admin/login/", "admin/logout/", "admin/^",
)  # fmt: skip
"""Libraries' own, that show nothing of ours; the choice of a language and the texts of scripts; the
schema and the metrics, which are slow to make and
have tests of their own."""


@dataclass(frozen=True)
class Caller:
    """A column of the table. ``actor``: what items that are its own say."""

    name: str
    client: Client
    actor: str = "none"
    key: bool = False


@dataclass(frozen=True)
class Ask:
    """A row of the table."""

    name: str
    method: str
    path: str
    body: Any = field(default=None, hash=False)
    form: bool = False
    own: tuple[Any, int] | None = None


def callers() -> list[Caller]:
    """Everybody, with the browser or the key that they have."""
    found = [
        Caller("nobody", Client(REMOTE_ADDR=ELSEWHERE)),
        Caller("open", Client(REMOTE_ADDR=OPEN), "open"),
    ]
    people = {role.name.lower(): make_person(role, role.name.lower()) for role in Role}
    people["admin"] = User.objects.create_superuser("root")
    people["demoted"] = make_person(Role.LEAD, "demoted")
    names = {"nobody": "no role"}
    for name, user in people.items():
        client = Client(REMOTE_ADDR=ELSEWHERE)
        client.force_login(user)
        found.append(Caller(names.get(name, name), client, f"user:{user.get_username()}"))
    for scope in Scope.values:
        if scope != Scope.MODERATE:
            found.append(_key(f"key {scope}", [scope], None))
    for name, user in people.items():
        found.append(_key(f"key of {names.get(name, name)}", Scope.values, user))
    people["demoted"].groups.clear()
    _note_use(found)
    return found


def _note_use(everybody: list[Caller]) -> None:
    """Say that all were here a moment from now.

    Otherwise each request would write that its caller is here, as ``answer`` undoes it each time.
    """
    soon = timezone.now() + timedelta(hours=1)
    ApiKey.objects.update(last_used_at=soon)
    for caller in everybody:
        session = caller.client.session
        if SESSION_KEY in session:
            session[SEEN] = soon.timestamp()
            session.save()


def _key(name: str, scopes: list[str], user: User | None) -> Caller:
    key, text = ApiKey.issue(name=name.replace(" ", "-"), scopes=scopes, user=user)
    return Caller(name, Client(headers={"x-api-key": text}), f"key:{key.name}", key=True)


class World:
    """A row of each kind. ``ids``: what a path's numbers are, by the beginning of the path."""

    def __init__(self) -> None:
        name = default_storage.save("x/file", ContentFile(jpeg(photo(1, (64, 48)))))
        self.images = {state: self._item(Image, state, name, "jpeg") for state in STATES}
        self.videos = {state: self._item(Video, state, name, "mp4") for state in STATES}
        on = make_list("blocking", Action.BLOCK)
        item = make_item(on, ("sha256", "ab" * 32))
        case = make_case(item, Image.objects.get(pk=self.images["quarantined other"]))
        user = User.objects.get(username="root")
        batch = DecisionBatch.objects.create(by=user)
        run = ListImport.objects.create(
            list=on, file_name="a", sha256="", format="plain", size=1, added_by="x"
        )
        exchange = Exchange.objects.create(
            name="e", service="stopncii", list=on, url="https://e.example"
        )
        now = timezone.now()
        notice = Notice.objects.create(reason="other", created_at=now, due_at=now)
        hook = Webhook.objects.create(name="h", url="https://h.example/", events=["verdict"])
        scan = RetroScan.objects.create(list=on, reason="x", added_by="x")
        with transaction.atomic():
            event = trail.record(by="x", verb="list.created", subject=on)
        change = ListChange.objects.create(
            list=on,
            list_name=on.name,
            command="change_list",
            arguments={"list_id": on.pk, "enabled": False},
            weakens=["x"],
            asked_by="key:other",
            expires_at=event.at.replace(year=event.at.year + 1),
        )
        match = CaseMatch.objects.get(case=case)
        allow = BannedList.objects.create(name="allowing", kind=BannedList.Kind.ALLOW)
        self.list, self.allow = on.pk, allow.pk
        self.admin: dict[str, Any] = {
            "moderation_bannedlist": on.pk,
            "moderation_banneditem": item.pk,
            "moderation_reviewcase": case.pk,
            "moderation_casematch": match.pk,
            "moderation_decisionbatch": batch.pk,
            "moderation_listimport": run.pk,
            "moderation_listchange": change.pk,
            "moderation_webhook": hook.pk,
            "moderation_exchange": exchange.pk,
            "moderation_delivery": getattr(Delivery.objects.first(), "pk", 1),
            "moderation_auditevent": event.pk,
            "gallery_image": self.images["ready other"],
            "videos_video": self.videos["ready other"],
            "auth_user": user.pk,
            "imgsmlr_site_apikey": ApiKey.objects.order_by("pk")[0].pk,
        }
        self.ids = {
            "api/v1/images/": self.images["ready other"],
            "api/v1/videos/": self.videos["ready other"],
            "media/images/": self.images["ready other"],
            "api/v1/moderation/lists/": on.pk,
            "api/v1/moderation/cases/": case.pk,
            "api/v1/moderation/batches/": batch.pk,
            "api/v1/moderation/imports/": run.pk,
            "api/v1/moderation/webhooks/": hook.pk,
            "api/v1/moderation/exchanges/": exchange.pk,
            "api/v1/moderation/notices/": notice.pk,
            "api/v1/moderation/changes/": change.pk,
            "admin/moderation/console/cases/": case.pk,
            "admin/moderation/console/matches/": match.pk,
            "admin/moderation/console/notices/": notice.pk,
            "admin/moderation/console/batches/": batch.pk,
            "admin/moderation/console/scans/": scan.pk,
            "admin/moderation/console/thresholds/": on.pk,
        }
        self.words = {
            "<int:item>": str(item.pk),
            "<int:match>": str(match.pk),
            "<str:match_type>": "pdq",
            "<slug:match_type>": "pdq",
            "<slug:step>": "blur",
            "<slug:copy>": "small",
            "<str:form>": "csv",
        }

    def _item(self, model: Any, state: str, file: str, format: str) -> int:
        status = state.split()[0]
        seed = f"{model.__name__} {state}".encode().hex()
        hashes = {
            name: (seed * 4)[:length]
            for name, length in (("md5", 32), ("sha1", 40), ("sha256", 64))
        }
        # Each has hashes of its own: the beginning of the seed is the model's name.
        number = f"{list(STATES).index(state)}{len(model.__name__)}"
        hashes = {name: number + value[2:] for name, value in hashes.items()}
        fields: dict[str, Any] = {"format": format, "bytes": 10, "added_by": "key:other"}
        names = {one.name for one in model._meta.get_fields()}
        fields |= {"width": 64, "height": 48} if "width" in names else {}
        fields |= {"proxy": file} if "proxy" in names else {}
        fields |= {"duration_ms": 1000} if "duration_ms" in names else {}
        row = model.objects.create(
            status=status, data_id="same", original=file, thumbnail=file, **hashes, **fields
        )
        return int(row.pk)

    def path(self, route: str) -> str:
        """The address of a route, with numbers of rows that are there."""
        found = route
        start = max((one for one in self.ids if route.startswith(one)), key=len, default="")
        found = found.replace("<int:pk>", str(self.ids.get(start, 1)))
        for word, value in self.words.items():
            found = found.replace(word, value)
        return f"/{found}"


def routes() -> Iterator[tuple[str, Any, str]]:
    """Every route of the URL map: its pattern, its view, its name."""
    for route, view, name in _below(get_resolver(), ""):
        if not route.startswith(SKIPPED) and "(?P<" not in route:
            yield route, view, name


def _below(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, Any, str]]:
    for one in resolver.url_patterns:
        route = f"{prefix}{one.pattern}"
        if isinstance(one, URLResolver):
            yield from _below(one, route)
        elif isinstance(one, URLPattern):
            yield route, one.callback, one.name or ""


BODIES: dict[str, Any] = {
    "POST api/v1/images/search/": {"text": "a"},
    "POST api/v1/moderation/check/": {"hash": "ab" * 32, "hash_type": "sha256"},
    "POST api/v1/moderation/check/batch/": {"checks": [{"hash": "ab" * 16}]},
    "POST api/v1/moderation/lists/": {"name": "new"},
    "PATCH api/v1/moderation/lists/<int:pk>/": {"owner": "x"},
    "PATCH api/v1/moderation/lists/<int:pk>/methods/<str:match_type>/": {"threshold": 33},
    "POST api/v1/moderation/lists/<int:pk>/thresholds/<str:match_type>/": {
        "threshold": 33,
        "reason": "x",
    },
    "POST api/v1/moderation/lists/<int:pk>/items/": {"sha256": "cd" * 32},
    "POST api/v1/moderation/cases/<int:pk>/decide/": {"verb": "confirm", "reason": "x"},
    "POST api/v1/moderation/batches/<int:pk>/undo/": {"reason": "x"},
    "POST api/v1/moderation/webhooks/": {
        "name": "n",
        "url": "https://n.example/",
        "events": ["verdict"],
    },
    "PATCH api/v1/moderation/webhooks/<int:pk>/": {"name": "n2"},
    "POST api/v1/moderation/exchanges/<int:pk>/undo/": {"reason": "x"},
    "POST api/v1/moderation/imports/<int:pk>/undo/": {"reason": "x"},
}
"""What makes a request right; others are asked with an empty body, which is a 400 to who may."""


def asks(world: World) -> list[Ask]:
    """Every row of the table."""
    found: list[Ask] = []
    for route, view, name in routes():
        if route.startswith("admin/") and "console" not in route:
            found += _of_admin(world, route, name)
            continue
        for method in _methods(route, view):
            row = f"{method} {route}"
            body = BODIES.get(row, {} if method != "GET" else None)
            found.append(Ask(row, method, world.path(route), body))
    found += _of_items(world)
    found += _of_weakening(world)
    return found


def _methods(route: str, view: Any) -> list[str]:
    declared = getattr(view, "cls", None)
    if declared is not None:
        names = ("get", "post", "put", "patch", "delete")
        return [name.upper() for name in names if hasattr(declared, name)]
    if route.startswith(("admin/moderation/console/", "imgsmlr/")):
        return ["GET", "POST"]
    return ["GET"]


def _of_admin(world: World, route: str, name: str) -> Iterator[Ask]:
    if "<path:object_id>" in route:
        model, _, page = name.rpartition("_")
        if model not in world.admin or page not in ("change", "delete", "history", "change_form"):
            return
        route = route.replace("<path:object_id>", str(world.admin[model]))
    elif "<" in route:
        return
    row = f"admin:{name}" if name else route
    yield Ask(f"GET {row}", "GET", f"/{route}")
    if name.endswith(("_add", "_change", "_delete")):
        yield Ask(f"POST {row}", "POST", f"/{route}", {}, form=True)
    model = name.removesuffix("_changelist")
    if name.endswith("_changelist") and model in world.admin:
        registered = {f"{m._meta.app_label}_{m._meta.model_name}": a for m, a in _admins()}
        for action in registered[model].actions or ():
            word = action if isinstance(action, str) else action.__name__
            chosen = {"action": word, "_selected_action": world.admin[model]}
            yield Ask(f"POST {row} {word}", "POST", f"/{route}", chosen, form=True)


def _admins() -> list[tuple[Any, Any]]:
    return list(admin.site._registry.items())


def _of_items(world: World) -> Iterator[Ask]:
    """Each state of an image and a video, own and another's."""
    for state in STATES:
        image, video = world.images[state], world.videos[state]
        for kind, pk, model in (("images", image, Image), ("videos", video, Video)):
            own = (model, pk) if state.endswith("own") else None
            path, row = f"/api/v1/{kind}/{pk}/", f"{kind}/{{{state}}}"
            yield Ask(f"GET {row}", "GET", path, own=own)
            yield Ask(f"PATCH {row}", "PATCH", path, {"remark": "x"}, own=own)
            yield Ask(f"DELETE {row}", "DELETE", path, own=own)
        own = (Image, image) if state.endswith("own") else None
        for page in ("original", "thumbnail"):
            yield Ask(
                f"GET media/{{{state}}}/{page}", "GET", f"/media/images/{image}/{page}", own=own
            )
        own = (Video, video) if state.endswith("own") else None
        for page in ("file", "thumbnail"):
            path = f"/api/v1/videos/{video}/{page}/"
            yield Ask(f"GET videos/{{{state}}}/{page}", "GET", path, own=own)
    for kind in ("images", "videos"):
        yield Ask(f"DELETE {kind}/?data_id", "DELETE", f"/api/v1/{kind}/?data_id=same")


def _of_weakening(world: World) -> Iterator[Ask]:
    """What lets more through."""
    path = f"/api/v1/moderation/lists/{world.list}/"
    for name, value in (("enabled", False), ("action", "shadow"), ("hold_on_review", False)):
        yield Ask(f"PATCH list {name}={value}", "PATCH", path, {name: value})
    yield Ask("PATCH list pdq off", "PATCH", f"{path}methods/pdq/", {"enabled": False})
    yield Ask("PATCH list pdq threshold=10", "PATCH", f"{path}methods/pdq/", {"threshold": 10})
    yield Ask(
        "POST list kind=allow", "POST", "/api/v1/moderation/lists/", {"name": "n", "kind": "allow"}
    )
    yield Ask(
        "POST allow list item",
        "POST",
        f"/api/v1/moderation/lists/{world.allow}/items/",
        {"sha256": "ef" * 32},
    )


def answer(caller: Caller, ask: Ask) -> int:
    """The status, after which all is as before."""
    with transaction.atomic():
        if ask.own is not None:
            model, pk = ask.own
            model.objects.filter(pk=pk).update(added_by=caller.actor)
        if ask.form:
            response = caller.client.post(ask.path, ask.body)
        elif ask.body is None:
            response = caller.client.generic(ask.method, ask.path)
        else:
            response = caller.client.generic(
                ask.method, ask.path, _json(ask.body), content_type="application/json"
            )
        transaction.set_rollback(True)
    if ask.body and "action" in ask.body and ask.form and _list_again(response):
        # What is not among somebody's actions is not done; the list is shown as if nobody asked.
        return 403
    return int(response.status_code)


def _list_again(response: Any) -> bool:
    shown = [template.name or "" for template in response.templates]
    return response.status_code == 200 and any(name.endswith("change_list.html") for name in shown)


def _json(body: Any) -> bytes:
    import orjson

    return orjson.dumps(body)

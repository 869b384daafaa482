"""The pages of hash exchanges, with something on them."""

from __future__ import annotations

from datetime import timedelta

from django.core.files.base import ContentFile
from django.utils import timezone

from moderation.exchanges import editing
from moderation.exchanges.models import Exchange, Pull
from moderation.imports import start
from tests.moderation.factories import ADMIN, make_list
from tests.moderation.lists.hashlist_files import DATA

EXCHANGES = "/admin/moderation/exchange/"
CREDENTIALS = {"user": "us", "password": "pw", "token": "t", "subscription": "s", "fetch": "f"}


def make_pages() -> dict[str, str]:
    """Name → path."""
    on = make_list("Terrorist content of GIFCT")
    works, failing, remote = (
        editing.create_exchange(
            by=ADMIN, service=service, name=name, credentials=CREDENTIALS, enabled=True,
            url="https://exchange.example/v1", group="42", list_id=listed.pk,
        ).pk
        for service, name, listed in (
            ("threatexchange", "GIFCT", on),
            ("stopncii", "StopNCII", on),
            ("arachnid_shield", "Arachnid Shield", make_list("CSAM")),
        )
    )  # fmt: skip
    Exchange.objects.update(succeeded_at=timezone.now() - timedelta(minutes=12))
    Exchange.objects.filter(pk__in=[failing, remote]).update(
        failures=4, failure="exchange.example refused the credentials (401)."
    )
    for name, state in (("good_stopncii.json", "done"), ("good_threatexchange.json", "waiting")):
        file = ContentFile((DATA / name).read_bytes(), name=f"GIFCT, pull of {name}")
        row = start.begin(by=ADMIN, list_id=on.pk, file=file, dry_run=state == "waiting")
        start.run_in_background(row.pk)
        Pull.objects.create(
            exchange_id=works, state=state, run=row, records=1_234, pages=3, full=state == "done",
            started_by="exchange:GIFCT", upto={"time": 1},
            started_at=timezone.now() - timedelta(hours=3 if state == "done" else 0),
        )  # fmt: skip
    return {
        "exchanges": EXCHANGES,
        "services": f"{EXCHANGES}add/",
        "new exchange": f"{EXCHANGES}add/?service=ncmec",
        "exchange": f"{EXCHANGES}{works}/change/",
        "failing exchange": f"{EXCHANGES}{failing}/change/",
        "remote matcher": f"{EXCHANGES}{remote}/change/",
        "delete exchange": f"{EXCHANGES}{works}/delete/",
        "applied import": f"/admin/moderation/listimport/{Pull.objects.last().run_id}/change/",  # type: ignore[union-attr]
        "dashboard with notices": "/admin/",
    }

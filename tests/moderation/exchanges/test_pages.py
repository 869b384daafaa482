"""The pages of exchanges, the dashboard, metrics and HMA's API: who sees what, and no secret."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from imgsmlr_site.env import LOOPBACK
from imgsmlr_site.models import ApiKey
from moderation.access.permissions import Role
from moderation.audit.models import AuditEvent
from moderation.exchanges import editing, pulling
from moderation.exchanges.models import Exchange, Pull
from moderation.lists.models import BannedList
from moderation.tasks import run_import
from tests.moderation.exchanges.servers import ThreatExchange, pdq
from tests.moderation.factories import ADMIN, make_list, make_person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
EXCHANGES = "/admin/moderation/exchange/"
SECRET = "123|secret-token"


@pytest.fixture
def te() -> Iterator[ThreatExchange]:
    with ThreatExchange() as running:
        yield running


def logged_in(role: Role) -> Client:
    client = Client()
    client.force_login(make_person(role))
    return client


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def fields(te: ThreatExchange, on: BannedList, **more: Any) -> dict[str, Any]:
    values = {
        "name": "GIFCT", "list": on.pk, "url": te.url, "group": "42", "minutes": 60,
        "ask_first": "on", "enabled": "on", "token": SECRET,
    }  # fmt: skip
    return {name: value for name, value in (values | more).items() if value is not None}


@pytest.mark.slow
def test_an_admin_sets_it_up_and_a_lead_confirms_and_undoes(
    te: ThreatExchange, django_capture_on_commit_callbacks: Any
) -> None:
    admin, lead, on = logged_in(Role.ADMIN), logged_in(Role.LEAD), make_list("partner")
    te.list(1, pdq(1))
    assert "No exchange is set up" in text_of(admin.get(EXCHANGES))
    assert "ThreatExchange" in text_of(admin.get(f"{EXCHANGES}add/"))
    add = f"{EXCHANGES}add/?service=threatexchange"
    assert "Access token" in text_of(admin.get(add))
    wrong = text_of(admin.post(add, fields(te, on, group="x", minutes=1)))
    assert "Pull every 5 to" in wrong
    assert SECRET not in wrong
    assert "privacy group, a number" in text_of(admin.post(add, fields(te, on, group="x")))
    answer = admin.post(add, fields(te, on))
    row = Exchange.objects.get()
    page = f"{EXCHANGES}{row.pk}/change/"
    assert answer["location"] == page
    assert SECRET not in row.credentials
    assert editing.credentials_of(row) == {"token": SECRET}
    for reader in (admin, lead):
        assert "secret-token" not in text_of(reader.get(page))
    assert "Settings" not in text_of(lead.get(page))
    assert lead.post(page, fields(te, on)).status_code == 403
    assert lead.get(f"{EXCHANGES}add/").status_code == 403

    lead.post(f"{EXCHANGES}{row.pk}/pull/")
    pulling.pull_due()
    pull = Pull.objects.get()
    assert "Look and confirm" in text_of(lead.get(page))
    assert "A pull waits to be confirmed" in text_of(lead.get("/admin/"))
    shown = text_of(lead.get(f"/admin/moderation/listimport/{pull.run_id}/change/"))
    assert pdq(1) in shown and "What it would change" in shown
    lead.post(f"/admin/moderation/listimport/{pull.run_id}/confirm/")
    run_import(pull.run_id)  # type: ignore[arg-type]
    assert on.items.get().state == "active"
    shown = text_of(lead.get(page))
    assert "1 added" in shown and "Undo the latest pull" in shown
    refused = lead.post(f"{EXCHANGES}{row.pk}/undo/", {"reason": ""}, follow=True)
    assert "Give a reason" in text_of(refused)
    lead.post(f"{EXCHANGES}{row.pk}/undo/", {"reason": "the wrong group"})
    assert on.items.get().state == "retired"
    assert "secret" not in str(list(AuditEvent.objects.values_list("before", "after")))
    shown = text_of(logged_in(Role.LEAD).get("/admin/moderation/auditevent/"))
    for words in ("created the exchange", "asked for a pull from", "undid the latest pull from"):
        assert words in shown
    assert "Undone" in text_of(lead.get(f"/admin/moderation/listimport/{pull.run_id}/change/"))


def test_credentials_go_to_no_other_host(te: ThreatExchange) -> None:
    admin, on = logged_in(Role.ADMIN), make_list()
    admin.post(f"{EXCHANGES}add/?service=threatexchange", fields(te, on))
    row = Exchange.objects.get()
    page = f"{EXCHANGES}{row.pk}/change/"
    kept = fields(te, on, token="", name="renamed")
    assert admin.post(page, kept).status_code == 302
    row.refresh_from_db()
    assert (row.name, editing.credentials_of(row)) == ("renamed", {"token": SECRET})
    moved = admin.post(page, fields(te, on, token="", url="https://evil.example"))
    assert "after a change of the host" in text_of(moved)
    row.refresh_from_db()
    assert row.url == te.url
    for url, why in (
        ("ftp://a.example", "Only http"),
        ("https://a:b@c.example", "user name or password"),
        ("https://a.example/?b=c", "without ?"),
    ):
        assert why in text_of(admin.post(page, fields(te, on, url=url))), url
    events = AuditEvent.objects.filter(verb="exchange.changed")
    assert [event.after["name"] for event in events] == ["renamed"]
    admin.post(f"{EXCHANGES}{row.pk}/delete/", {"post": "yes"})
    assert not Exchange.objects.exists()
    assert AuditEvent.objects.filter(verb="exchange.deleted").count() == 1


def test_http_and_lists_that_do_not_fit_are_refused(te: ThreatExchange, settings: Any) -> None:
    admin, on = logged_in(Role.ADMIN), make_list()
    add = f"{EXCHANGES}add/?service=threatexchange"
    settings.EXCHANGE_ALLOW_PRIVATE = ()
    assert "https://, as credentials" in text_of(admin.post(add, fields(te, on)))
    settings.EXCHANGE_ALLOW_PRIVATE = LOOPBACK
    admin.post(add, fields(te, on))
    again = text_of(admin.post(add, fields(te, on, name="second")))
    assert "has an exchange with this service already" in again
    with pytest.raises(editing.InvalidExchange, match="allow list"):
        allow = BannedList.objects.create(name="allow", kind=BannedList.Kind.ALLOW)
        editing.create_exchange(
            by=ADMIN, service="threatexchange", credentials={"token": "a"}, name="a",
            list_id=allow.pk, url="https://a.example", group="1",
        )  # fmt: skip
    # A setting of other networks lets nothing through to this machine.
    settings.EXCHANGE_ALLOW_PRIVATE = ()
    pulling.pull_due()
    row = Exchange.objects.get()
    assert "not on the public Internet" in row.failure
    assert te.asked == []


def test_a_failing_exchange_is_on_the_dashboard_and_in_the_metrics(te: ThreatExchange) -> None:
    row = editing.create_exchange(
        by=ADMIN, service="threatexchange", credentials={"token": SECRET}, name="GIFCT",
        list_id=make_list().pk, url=te.url, group="42", enabled=True,
    )  # fmt: skip
    Exchange.objects.update(failures=3, failure="It answered 503.")
    lead = logged_in(Role.LEAD)
    assert "It cannot be pulled from: It answered 503." in text_of(lead.get("/admin/"))
    assert "failing" in text_of(lead.get(EXCHANGES))
    assert "cannot be pulled" not in text_of(logged_in(Role.MODERATOR).get("/admin/"))
    for forbidden in (EXCHANGES, f"{EXCHANGES}{row.pk}/change/"):
        assert logged_in(Role.MODERATOR).get(forbidden).status_code == 403
    metrics = text_of(lead.get("/metrics"))
    assert 'exchange_failures{exchange="GIFCT"} 3.0' in metrics
    assert 'exchange_waiting_feedback{exchange="GIFCT"} 0.0' in metrics


@pytest.mark.urls("tests.site.hma_urls")
def test_hma_shows_exchanges_and_their_state(te: ThreatExchange) -> None:
    _, key = ApiKey.issue(name="hma", scopes=["hma"], user=None)
    hma = Client(headers={"authorization": f"Bearer {key}"})
    te.list(1, pdq(1))
    make = {
        "by": ADMIN, "service": "threatexchange", "credentials": {"token": SECRET},
        "name": "GIFCT images", "list_id": make_list().pk, "url": te.url, "group": "42",
        "enabled": True, "ask_first": False,
    }  # fmt: skip
    editing.create_exchange(**make)
    assert hma.get("/hma/c/exchanges").json() == ["GIFCT_IMAGES"]
    assert "ncmec" in hma.get("/hma/c/exchanges/apis").json()
    api = hma.get("/hma/c/exchanges/api/fb_threatexchange").json()
    assert api == {"supports_authentification": True, "has_set_authentification": True}
    assert hma.get("/hma/c/exchange/GIFCT_IMAGES").json() == {
        "name": "GIFCT_IMAGES", "api": "fb_threatexchange", "enabled": True, "privacy_group": 42,
    }  # fmt: skip
    before = hma.get("/hma/c/exchange/GIFCT_IMAGES/status").json()
    assert (before["last_fetch_succeeded"], before["fetched_items"]) == (None, 0)
    pulling.pull_due()
    after = hma.get("/hma/c/exchange/GIFCT_IMAGES/status").json()
    assert (after["last_fetch_succeeded"], after["up_to_date"], after["fetched_items"]) == (
        True, True, 1,
    )  # fmt: skip
    assert after["checkpoint_ts"] > 1_700_000_000
    assert hma.post("/hma/c/exchanges", {}, content_type="application/json").status_code == 400
    assert hma.put("/hma/c/exchange/GIFCT_IMAGES").status_code == 400
    assert hma.get("/hma/c/exchange/X").status_code == 404


def test_the_role_counts_not_being_staff(te: ThreatExchange) -> None:
    client = Client()
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get(EXCHANGES).status_code == 403

"""The second factor: set up, asked for, counted, required, reset; and what the audit says of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client, TestCase
from django.urls import reverse

from moderation.access.permissions import Role
from moderation.audit.models import AuditEvent
from tests import pages, totp
from tests.moderation.factories import make_list, make_person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("edge_urls")]

LOGIN = "/admin/login/"
FIRST_PAGE = "/admin/moderation/dashboard/"
"""Of a lead."""
SET_UP = "/admin/second-factor/totp/activate/"
CODE = "/admin/second-factor/authenticate/"
AGAIN = "/admin/second-factor/reauthenticate/"
CODES = "/admin/second-factor/recovery-codes/"
WORD = "right horse battery"


@pytest.fixture
def lead() -> User:
    make_list()
    person = make_person(Role.LEAD, "lea")
    person.set_password(WORD)
    person.save()
    return person


def log_in(word: str = WORD, name: str = "lea", address: str = "192.0.2.7") -> Client:
    client = Client(REMOTE_ADDR=address)
    client.post(f"{LOGIN}?next=/admin/", {"login": name, "password": word})
    return client


def is_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def set_up(client: Client) -> str:
    """The secret, as the page shows it."""
    page = client.get(SET_UP).content.decode()
    secret = re.search(r'id="totp-secret">(\w+)<', page)[1]
    with TestCase.captureOnCommitCallbacks(execute=True):
        answer = client.post(SET_UP, {"code": totp.code(secret, -1)})
    assert answer["Location"] == CODES
    return secret


def recovery_codes(client: Client) -> list[str]:
    return re.findall(r"<li><code>(\d+)</code>", client.get(CODES).content.decode())


def told(*verbs: str) -> list[tuple[str, str, Any]]:
    events = AuditEvent.objects.filter(verb__startswith="user.").order_by("id")
    return [(e.actor, e.verb, e.after) for e in events if e.verb in verbs or not verbs]


@pytest.mark.slow
def test_a_login_asks_for_a_code_once_there_is_a_factor(lead: User) -> None:
    client = log_in()
    assert is_in(client)
    secret = set_up(client)
    assert is_in(client)
    client.post("/admin/logout/")

    client = log_in()
    assert not is_in(client)
    assert client.post(CODE, {"code": "000000"}).status_code == 200
    assert not is_in(client)
    assert client.post(CODE, {"code": totp.code(secret)})["Location"] == FIRST_PAGE
    assert is_in(client)
    # The same code again, although its time has not passed.
    again = log_in()
    again.post(CODE, {"code": totp.code(secret)})
    assert not is_in(again)
    again.post(CODE, {"code": totp.code(secret, 1)})
    assert is_in(again)


def test_a_recovery_code_works_once(lead: User) -> None:
    client = log_in()
    set_up(client)
    first, second, *rest = recovery_codes(client)
    assert len(rest) == 8
    for code, works in ((first, True), (first, False), (second, True)):
        client = log_in()
        client.post(CODE, {"code": code})
        assert is_in(client) == works
    assert recovery_codes(client) == rest
    (used, _) = told("user.recovery_code_used")
    assert used[2] == {"user": "lea", "address": "192.0.2.7", "left": 9}


def test_wrong_codes_are_counted_for_the_person(lead: User, settings: Any) -> None:
    secret = set_up(log_in())
    settings.LOGIN_ATTEMPTS = 3
    for last in range(3):
        client = log_in(address=f"192.0.2.{last}")
        assert "Incorrect code" in client.post(CODE, {"code": "000000"}).content.decode()
    client = log_in(address="192.0.2.99")
    for _ in range(2):
        answer = client.post(CODE, {"code": totp.code(secret)})
        assert "Too many attempts" in answer.content.decode()
    assert not is_in(client)
    locked = {"user": "lea", "address": "192.0.2.99"}
    assert told("user.locked_out") == [("user:lea", "user.locked_out", locked)]


def test_the_database_alone_does_not_give_the_secret(lead: User, settings: Any) -> None:
    client = log_in()
    secret, codes = set_up(client), recovery_codes(client)
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(data::text, ' ') FROM mfa_authenticator")
        stored = cursor.fetchone()[0]
    assert not [text for text in (secret, *codes) if text in stored]
    settings.SECRET_KEY = "another"
    client = Client()
    client.post(LOGIN, {"login": "lea", "password": WORD})
    assert not is_in(client)


@pytest.mark.parametrize(
    ("least", "role", "needed"),
    [
        ("none", Role.ADMIN, False),
        ("lead", Role.MODERATOR, False),
        ("lead", Role.LEAD, True),
        ("lead", Role.ADMIN, True),
        ("viewer", Role.VIEWER, True),
    ],
)
def test_a_role_may_need_one(
    settings: Any, login: Callable[..., Client], least: str, role: Role, needed: bool
) -> None:
    settings.SECOND_FACTOR = least
    client = login(make_person(role, "somebody"))
    answer = client.get("/admin/")
    assert answer.get("Location") == (SET_UP if needed else None)
    assert client.get("/api/methods/").status_code == (403 if needed else 200)


@pytest.mark.django_db(transaction=True)
def test_without_the_needed_one_nothing_else_may_be_done(
    settings: Any, lead: User, issue: Callable[..., str]
) -> None:
    settings.SECOND_FACTOR = "lead"
    key = issue("search", user=lead)
    client = log_in()
    for page in ("/admin/", "/admin/moderation/console/", "/admin/password_change/", CODES):
        assert client.get(page)["Location"] == SET_UP
    assert client.post("/admin/moderation/bannedlist/add/", {"name": "x"})["Location"] == SET_UP
    answer = client.get("/api/methods/")
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_required")
    assert "Your role needs it" in client.get(SET_UP).content.decode()
    other = log_in()
    set_up(client)
    assert is_in(client) and client.get("/api/methods/").status_code == 200
    # A session from before has not proved it: it is asked for a code.
    assert other.get("/admin/")["Location"] == f"{AGAIN}?next=/admin/"
    # A key is no session; it is bound to what its owner may do.
    assert Client(headers={"x-api-key": key}).get("/api/methods/").status_code == 200


def test_a_promotion_needs_the_factor_with_the_next_request(
    settings: Any, login: Callable[..., Client]
) -> None:
    settings.SECOND_FACTOR = "admin"
    person = make_person(Role.LEAD, "pat")
    client = login(person)
    assert is_in(client)
    User.objects.filter(pk=person.pk).update(is_superuser=True)
    assert client.get("/admin/")["Location"] == SET_UP


def test_changing_the_factor_takes_a_code_and_not_a_password(lead: User, settings: Any) -> None:
    client = log_in()
    secret = set_up(client)
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    remove = "/admin/second-factor/totp/deactivate/"
    assert client.post(remove)["Location"].startswith(AGAIN)
    password = client.post("/admin/reauthenticate/", {"password": WORD})
    assert password["Location"].startswith(AGAIN)
    assert Authenticator.objects.count() == 2
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
    client.post(AGAIN, {"code": totp.code(secret)})
    client.post(remove)
    assert not Authenticator.objects.exists()
    assert told("user.second_factor_removed")


def test_an_administrator_resets_it(
    lead: User, settings: Any, login: Callable[..., Client], superuser: User
) -> None:
    client = log_in()
    set_up(client)
    accounts = reverse("admin:auth_user_changelist")
    posted = {"action": "reset_second_factor", "_selected_action": [lead.pk]}
    login(lead).post(accounts, posted)
    assert Authenticator.objects.count() == 2
    root = login(superuser)
    posted["_selected_action"].append(superuser.pk)
    page = pages.shown(root, accounts, posted)
    assert page.context["lines"] == ["lea"]
    assert Authenticator.objects.count() == 2
    answer = pages.confirm(root, accounts, posted, page)
    assert "The second factor is reset of: lea." in [str(one) for one in answer.context["messages"]]
    assert not Authenticator.objects.exists()
    assert not is_in(client), "the sessions of this person have ended"
    assert is_in(log_in())
    (event,) = told("user.second_factor_reset")
    assert event[0] == "user:root" and event[2]["user"] == "lea"


def test_the_command_resets_it_for_the_only_administrator(lead: User) -> None:
    set_up(log_in())
    call_command("reset_second_factor", "lea")
    assert not Authenticator.objects.exists()
    assert told("user.second_factor_reset")[0][0] == "command"
    with pytest.raises(CommandError, match="lea has no second factor"):
        call_command("reset_second_factor", "lea")
    with pytest.raises(CommandError, match="no user named nobody"):
        call_command("reset_second_factor", "nobody")


def test_the_audit_tells_a_login_from_its_beginning_to_its_end(lead: User) -> None:
    here = {"user": "lea", "address": "192.0.2.7"}
    log_in(word="hunter2-wrong")
    log_in(name="typed-into-the-name", word="x")
    client = log_in()
    secret = set_up(client)
    client.post("/admin/logout/")
    client = log_in()
    client.post(CODE, {"code": "000000"})
    client.post(CODE, {"code": totp.code(secret)})
    nobody = {"user": None, "address": "192.0.2.7", "method": "password"}
    assert told() == [
        ("none", "user.login_failed", {**here, "method": "password"}),
        ("none", "user.login_failed", nobody),
        ("user:lea", "user.logged_in", {**here, "methods": ["password"]}),
        ("user:lea", "user.second_factor_set", here),
        ("user:lea", "user.recovery_codes_made", here),
        ("user:lea", "user.logged_out", here),
        ("none", "user.login_failed", {**here, "method": "code"}),
        ("user:lea", "user.logged_in", {**here, "methods": ["password", "totp"]}),
    ]
    everything = " ".join(str(event) for event in AuditEvent.objects.values())
    for secret_text in (WORD, "hunter2-wrong", "typed-into-the-name", secret):
        assert secret_text not in everything

"""Who may do what: each scope against each method, and every way round the rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from imgsmlr_site.models import Scope

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("edge_urls")]

METHOD_SCOPES = {
    "GET": "search",
    "HEAD": "search",
    "POST": "add",
    "PUT": "check",
    "PATCH": "lists",
    "DELETE": "moderate",
}
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
PROXY = "10.0.0.1"
CROSS = {"sec-fetch-site": "cross-site"}


def call(client: Client, method: str = "GET", path: str = "/api/methods/", **extra: Any) -> Any:
    return client.generic(method, path, b"{}", content_type="application/json", **extra)


def bearer(text: str) -> dict[str, Any]:
    return {"headers": {"authorization": f"Bearer {text}"}}


def expected(method: str, scopes: set[str]) -> int:
    return 200 if METHOD_SCOPES[method] in scopes else 403


@pytest.mark.parametrize("scope", Scope.values)
@pytest.mark.parametrize("method", METHOD_SCOPES)
def test_a_key_with_one_scope_may_use_its_method_alone(
    client: Client, issue: Callable[..., str], moderator: User, scope: str, method: str
) -> None:
    answer = call(client, method, **bearer(issue(scope, user=moderator)))
    assert answer.status_code == expected(method, {scope})
    if answer.status_code == 403 and method != "HEAD":
        assert answer.json()["code"] == "forbidden"
        assert METHOD_SCOPES[method] in answer.json()["detail"]


@pytest.mark.parametrize("method", METHOD_SCOPES)
@pytest.mark.parametrize(
    ("who", "scopes"),
    [
        ("user", {"search"}),
        ("staff", {"search"}),
        ("moderator", set(Scope.values)),
        ("superuser", set(Scope.values)),
    ],
)
def test_a_session_has_the_scopes_of_its_user(
    request: Any, login: Callable[..., Client], who: str, scopes: set[str], method: str
) -> None:
    client = login(request.getfixturevalue(who))
    assert call(client, method).status_code == expected(method, scopes)


@pytest.mark.parametrize("method", METHOD_SCOPES)
def test_an_open_network_may_search_add_and_check(
    client: Client, settings: Any, method: str
) -> None:
    settings.OPEN_API = LOOPBACK
    assert call(client, method).status_code == expected(method, {"search", "add", "check"})


@pytest.mark.parametrize("method", METHOD_SCOPES)
def test_nobody_may_do_nothing(client: Client, method: str) -> None:
    answer = call(client, method)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    if method != "HEAD":
        assert answer.json()["code"] == "not_authenticated"
        assert "X-API-Key" in answer.json()["detail"]


def test_the_key_also_travels_in_its_own_header(client: Client, issue: Callable[..., str]) -> None:
    answer = call(client, headers={"x-api-key": issue("search", name="loader")})
    assert answer.json() == {"actor": "key:loader", "user": "", "client": answer.json()["client"]}


def test_a_bound_key_acts_as_the_key_and_names_its_user(
    client: Client, issue: Callable[..., str], user: User
) -> None:
    answer = call(client, **bearer(issue("search", user=user, name="console")))
    assert (answer.json()["actor"], answer.json()["user"]) == ("key:console", "ann")


@pytest.mark.parametrize("text", ["", "x", "imgs_00000000_" + "a" * 43, "é" * 10, "a" * 5000])
def test_an_unknown_key_is_refused_even_where_none_is_needed(
    client: Client, settings: Any, text: str
) -> None:
    settings.OPEN_API = LOOPBACK
    answer = call(client, headers={"x-api-key": text})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")


def test_a_wrong_key_is_not_saved_by_a_session(
    login: Callable[..., Client], superuser: User
) -> None:
    assert call(login(superuser), **bearer("imgs_wrong")).status_code == 401


def test_other_authorization_schemes_are_not_keys(client: Client, settings: Any) -> None:
    settings.OPEN_API = LOOPBACK
    assert call(client, headers={"authorization": "Basic YTpi"}).json()["actor"] == "open"


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_view_that_declares_no_scope_is_for_superusers_alone(
    client: Client,
    issue: Callable[..., str],
    login: Callable[..., Client],
    superuser: User,
    staff: User,
    settings: Any,
    method: str,
) -> None:
    path = "/api/undeclared/"
    every_scope = issue(*Scope.values, user=superuser)
    assert call(client, method, path).status_code == 401
    assert call(client, method, path, **bearer(every_scope)).status_code == 403
    assert call(login(staff), method, path).status_code == 403
    assert call(login(superuser), method, path).status_code == 200
    settings.OPEN_API = LOOPBACK
    assert call(client, method, path).status_code == 403


def test_options_needs_any_scope_of_the_view(client: Client, issue: Callable[..., str]) -> None:
    assert call(client, "OPTIONS").status_code == 401
    assert call(client, "OPTIONS", **bearer(issue("lists"))).status_code == 200


def test_a_method_without_a_handler_is_405_for_everyone(client: Client) -> None:
    answer = call(client, "DELETE", "/api/echo/")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_the_browsable_page_shows_a_refusal_too(client: Client) -> None:
    answer = client.get("/api/methods/", headers={"accept": "text/html"})
    assert answer.status_code == 401
    assert "text/html" in answer["Content-Type"]


def test_the_browsable_page_works_with_one_scope(login: Callable[..., Client], user: User) -> None:
    answer = login(user).get("/api/methods/", headers={"accept": "text/html"})
    assert answer.status_code == 200


def test_a_deactivated_user_has_no_session_and_no_key(
    login: Callable[..., Client], issue: Callable[..., str], user: User, client: Client
) -> None:
    session, text = login(user), issue("search", user=user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert call(session).status_code == 401
    answer = call(client, **bearer(text))
    assert answer.status_code == 401
    assert "deactivated" in answer.json()["detail"]


@pytest.mark.parametrize("how", ["groups", "is_staff", "is_active", "password"])
def test_a_demotion_ends_sessions_and_keys_with_the_next_request(
    login: Callable[..., Client],
    issue: Callable[..., str],
    moderator: User,
    client: Client,
    how: str,
) -> None:
    session, text = login(moderator), issue("moderate", "search", user=moderator)
    assert call(session, "DELETE").status_code == 200
    assert call(client, "DELETE", **bearer(text)).status_code == 200
    if how == "groups":
        moderator.groups.clear()
    elif how == "password":
        moderator.set_password("another")
        moderator.save()
    else:
        User.objects.filter(pk=moderator.pk).update(**{how: False})
    assert call(session, "DELETE").status_code == (401 if how in ("is_active", "password") else 403)
    after = call(client, "DELETE", **bearer(text)).status_code
    # A new password is no demotion: the key is another secret, which is revoked by itself.
    assert after == {"password": 200, "is_active": 401}.get(how, 403)


def test_a_key_of_nobody_never_moderates(client: Client, issue: Callable[..., str]) -> None:
    text = issue("search", "add", "check", "lists")
    assert call(client, "DELETE", **bearer(text)).status_code == 403
    assert call(client, "PATCH", **bearer(text)).status_code == 200


# --- Where a request comes from ---------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "open_to", "status"),
    [
        ("127.0.0.1", "127.0.0.0/8", 200),
        ("::1", "::1/128", 200),
        ("::ffff:127.0.0.1", "127.0.0.0/8", 200),
        ("192.0.2.7", "127.0.0.0/8", 401),
        ("2001:db8::1", "::1/128", 401),
        ("", "127.0.0.0/8", 401),
        ("unix:", "127.0.0.0/8", 401),
    ],
)
def test_only_addresses_of_open_networks_are_open(
    client: Client, settings: Any, peer: str, open_to: str, status: int
) -> None:
    settings.OPEN_API = (ipaddress.ip_network(open_to),)
    assert call(client, REMOTE_ADDR=peer).status_code == status


@pytest.mark.parametrize(
    "header",
    [
        {"x-forwarded-for": "127.0.0.1"},
        {"x-forwarded-for": ""},
        {"forwarded": "for=127.0.0.1"},
        {"x-real-ip": "127.0.0.1"},
        {"x-forwarded-host": "localhost"},
        {"via": "1.1 proxy"},
        {"x-forwarded-proto": "https"},
        {"x-forwarded-server": "proxy"},
        {"x-client-ip": "127.0.0.1"},
        {"cf-connecting-ip": "127.0.0.1"},
    ],
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.7"])
def test_what_an_unknown_proxy_forwards_is_never_open(
    client: Client, settings: Any, header: dict[str, str], peer: str
) -> None:
    settings.OPEN_API = LOOPBACK
    assert call(client, headers=header, REMOTE_ADDR=peer).status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8140", 200),
        ("127.0.0.1:8140", 200),
        ("[::1]:8140", 200),
        ("pictures.example", 401),
        ("localhost.pictures.example", 401),
    ],
)
def test_a_proxy_on_this_machine_that_keeps_the_host_opens_nothing(
    client: Client, settings: Any, host: str, status: int
) -> None:
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, ".pictures.example"]
    settings.OPEN_API = LOOPBACK
    assert call(client, headers={"host": host}).status_code == status
    settings.OPEN_API = (ipaddress.ip_network("10.0.0.0/8"),)
    elsewhere = call(client, headers={"host": "pictures.example"}, REMOTE_ADDR="10.0.0.7")
    assert elsewhere.status_code == 200


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("192.168.1.5", 200),
        ("8.8.8.8", 401),
        # What the client itself wrote stands to the left of what the proxy saw.
        ("192.168.1.5, 8.8.8.8", 401),
        ("8.8.8.8, 192.168.1.5", 200),
        ("8.8.8.8, 192.168.1.5, 10.0.0.2", 200),
        ("192.168.1.5, 8.8.8.8, 10.0.0.2", 401),
        ("192.168.1.5, unknown", 401),
        ("192.168.1.5,", 401),
        ("", 401),
        ("10.0.0.2", 401),
        (None, 401),
    ],
)
def test_behind_a_trusted_proxy_the_right_most_stranger_is_the_client(
    client: Client, settings: Any, forwarded: str | None, status: int
) -> None:
    settings.TRUSTED_PROXIES = (ipaddress.ip_network("10.0.0.0/24"),)
    # The proxies themselves are in an open network: that must open nothing.
    settings.OPEN_API = (
        ipaddress.ip_network("192.168.0.0/16"),
        ipaddress.ip_network("10.0.0.0/24"),
    )
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    assert call(client, headers=headers, REMOTE_ADDR=PROXY).status_code == status


def test_the_throttled_client_of_ipv6_is_the_network(client: Client, settings: Any) -> None:
    settings.OPEN_API = (ipaddress.ip_network("2001:db8::/32"),)
    answers = [call(client, REMOTE_ADDR=f"2001:db8::{last}").json() for last in ("1", "2")]
    assert {answer["client"] for answer in answers} == {"ip:2001:db8::/64"}


# --- Pages of other sites ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://testserver"}, 200),
        ({"origin": "https://TestServer"}, 200),
        ({"sec-fetch-site": "same-origin", "origin": "http://testserver"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://testserver.evil.example"}, 403),
        ({"origin": "http://testserver:81"}, 403),
        ({"origin": "http://[bad"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "http://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://testserver"}, 403),
    ],
)
@pytest.mark.parametrize("who", ["open", "moderator"])
def test_a_page_of_another_site_cannot_write(
    request: Any,
    client: Client,
    login: Callable[..., Client],
    settings: Any,
    who: str,
    headers: dict[str, str],
    status: int,
) -> None:
    if who == "open":
        settings.OPEN_API = LOOPBACK
    else:
        client = login(request.getfixturevalue(who))
    answer = call(client, "POST", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "cross_site"


def test_a_page_of_another_site_cannot_use_a_plain_view(client: Client, settings: Any) -> None:
    settings.OPEN_API = LOOPBACK
    assert client.post("/plain/").content == b"open"
    answer = client.post("/plain/", headers=CROSS)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


def test_what_another_site_embeds_is_refused_and_a_link_is_not(
    client: Client, settings: Any
) -> None:
    settings.OPEN_API = LOOPBACK
    image = {**CROSS, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    frame = {**CROSS, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    link = {**CROSS, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert call(client, headers=image).status_code == 403
    assert call(client, headers=frame).status_code == 403
    assert call(client, headers=link).status_code == 200
    assert call(client, "POST", headers=link).status_code == 403


def test_a_trusted_origin_may_write(client: Client, settings: Any) -> None:
    settings.OPEN_API = LOOPBACK
    settings.CSRF_TRUSTED_ORIGINS = ["https://tools.example"]
    headers = {**CROSS, "origin": "https://tools.example"}
    assert call(client, "POST", headers=headers).status_code == 200
    headers["origin"] = "http://tools.example"
    assert call(client, "POST", headers=headers).status_code == 403


def test_a_key_needs_no_such_check(client: Client, issue: Callable[..., str]) -> None:
    headers = {**CROSS, "authorization": f"Bearer {issue('add')}"}
    assert call(client, "POST", headers=headers).status_code == 200


def test_a_session_writes_only_with_its_csrf_token(
    login: Callable[..., Client], moderator: User
) -> None:
    client = login(moderator, enforce_csrf_checks=True)
    assert call(client).status_code == 200
    answer = call(client, "POST")
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["detail"]
    client.get("/admin/login/")
    client.get("/admin/password_change/")
    token = client.cookies["csrftoken"].value
    assert call(client, "POST", headers={"x-csrftoken": token}).status_code == 200


def test_a_key_writes_without_a_csrf_token(issue: Callable[..., str]) -> None:
    client = Client(enforce_csrf_checks=True)
    assert call(client, "POST", **bearer(issue("add"))).status_code == 200


def test_a_session_in_an_open_network_has_no_less_than_a_stranger(
    login: Callable[..., Client], user: User, settings: Any
) -> None:
    client = login(user)
    assert call(client, "POST").status_code == 403
    settings.OPEN_API = LOOPBACK
    assert call(client, "POST").json()["actor"] == "user:ann"


def test_a_request_that_asks_for_no_access_looks_nothing_up(
    client: Client, issue: Callable[..., str], django_assert_num_queries: Any
) -> None:
    text = issue("search")
    with django_assert_num_queries(0):
        client.get("/healthz", **bearer(text))

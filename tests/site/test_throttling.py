"""The token bucket: exact under concurrency, fair to others, and on the login form."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from imgsmlr_site.env import LOOPBACK
from imgsmlr_site.throttling import MOST_OWED, owe, purge, spend

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("edge_urls")]

HOUR = 3600.0
LOGIN_PAGE = "/admin/login/"


def age(client: str, seconds: float) -> None:
    """Let time pass for one bucket."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE imgsmlr_site_throttle SET full_at = full_at - %s * interval '1 second' "
            "WHERE client = %s",
            [seconds, client],
        )


def buckets() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT client FROM imgsmlr_site_throttle")
        return {row[0] for row in cursor.fetchall()}


def test_a_bucket_gives_its_points_and_no_more() -> None:
    assert [spend("a", 1, 5, HOUR) for _ in range(5)] == [0] * 5
    assert spend("a", 1, 5, HOUR) == HOUR / 5
    assert spend("b", 1, 5, HOUR) == 0


def test_a_refusal_takes_nothing() -> None:
    assert spend("a", 3, 5, HOUR) == 0
    assert spend("a", 3, 5, HOUR) == 720
    assert spend("a", 2, 5, HOUR) == 0


def test_points_come_back_with_time_and_never_above_the_capacity() -> None:
    assert spend("a", 5, 5, HOUR) == 0
    age("a", 720)
    assert spend("a", 1, 5, HOUR) == 0
    assert spend("a", 1, 5, HOUR) > 0
    age("a", 100 * HOUR)
    assert [spend("a", 1, 5, HOUR) > 0 for _ in range(6)] == [False] * 5 + [True]


def test_the_wait_is_long_enough_and_not_longer() -> None:
    spend("a", 5, 5, HOUR)
    wait = spend("a", 2, 5, HOUR)
    age("a", wait - 2)
    assert 0 < spend("a", 2, 5, HOUR) <= 2
    age("a", 2)
    assert spend("a", 2, 5, HOUR) == 0


def test_a_cost_above_the_capacity_takes_a_full_bucket() -> None:
    assert spend("a", 50, 5, HOUR) == 0
    assert spend("a", 50, 5, HOUR) == HOUR
    age("a", HOUR)
    assert spend("a", 50, 5, HOUR) == 0


def test_what_was_taken_before_the_clock_was_set_back_does_not_count() -> None:
    assert spend("a", 5, 5, 60) == 0
    age("a", -HOUR)
    assert [spend("a", 1, 5, 60) for _ in range(6)] == [0, 0, 0, 0, 0, 12]


def test_a_client_owes_a_few_buckets_at_most() -> None:
    for _ in range(20):
        owe("a", 100, 5, HOUR)
    assert spend("a", 1, 5, HOUR) == MOST_OWED * HOUR - HOUR + HOUR / 5


@pytest.mark.parametrize(("cost", "capacity"), [(0, 5), (5, 0)])
def test_nothing_is_written_when_nothing_is_counted(
    cost: int, capacity: int, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        assert spend("a", cost, capacity, HOUR) == 0


def test_full_buckets_are_purged_and_others_stay() -> None:
    spend("empty", 5, 5, HOUR)
    spend("full", 1, 5, HOUR)
    age("full", HOUR)
    with connection.cursor() as cursor:
        purge(cursor)
    assert buckets() == {"empty"}


@pytest.mark.django_db(transaction=True)
def test_parallel_connections_share_exactly_the_capacity() -> None:
    granted: list[int] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        try:
            granted.extend(spend("shared", 1, 50, HOUR) == 0 for _ in range(25))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE imgsmlr_site_throttle")
    assert (len(granted), sum(granted)) == (200, 50)


# --- At the API -------------------------------------------------------------------------


def test_the_api_answers_429_in_the_common_shape(
    client: Client, settings: Any, issue: Callable[..., str]
) -> None:
    settings.THROTTLE_POINTS = 10
    headers = {"x-api-key": issue("search")}
    assert client.get("/api/echo/?cost=9", headers=headers).status_code == 200
    answer = client.get("/api/echo/?cost=9", headers=headers)
    assert answer.status_code == 429
    assert (answer.json()["type"], answer.json()["code"]) == ("client_error", "throttled")
    assert 1 <= int(answer["Retry-After"]) <= 48
    assert f"again in {answer['Retry-After']} s" in answer.json()["detail"]
    assert client.get("/api/echo/?cost=1", headers=headers).status_code == 200
    assert client.get("/api/echo/?cost=0", headers=headers).status_code == 200


def test_keys_users_and_addresses_have_buckets_of_their_own(
    client: Client,
    settings: Any,
    issue: Callable[..., str],
    login: Callable[..., Client],
    user: User,
) -> None:
    settings.THROTTLE_POINTS = 2
    settings.OPEN_API = LOOPBACK
    first, second = ({"x-api-key": issue("search")} for _ in range(2))

    def cost_all(client: Client, **extra: Any) -> int:
        return client.get("/api/echo/?cost=2", **extra).status_code

    callers = [
        lambda: cost_all(client, headers=first),
        lambda: cost_all(client, headers=second),
        lambda: cost_all(client),
        lambda: cost_all(client, REMOTE_ADDR="127.0.0.2"),
        lambda: cost_all(login(user)),
    ]
    assert [caller() for caller in callers] == [200] * 5
    assert [caller() for caller in callers] == [429] * 5


def test_a_refused_request_costs_nothing(client: Client, settings: Any) -> None:
    settings.THROTTLE_POINTS = 10
    assert client.get("/api/echo/", REMOTE_ADDR="192.0.2.7").status_code == 401
    assert "ip:192.0.2.7" not in buckets()


def test_a_plain_view_is_charged_too(
    client: Client, settings: Any, issue: Callable[..., str]
) -> None:
    settings.THROTTLE_POINTS = 5
    headers = {"x-api-key": issue("search")}
    assert client.get("/plain/", headers=headers).status_code == 200
    answer = client.get("/plain/", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert int(answer["Retry-After"]) >= 1
    assert client.get("/plain/").status_code == 401


# --- At the login -----------------------------------------------------------------------


@pytest.fixture
def admin(settings: Any) -> User:
    settings.LOGIN_ATTEMPTS = 3
    return User.objects.create_superuser("root", password="right horse")


def attempt(client: Client, password: str, name: str = "root", peer: str = "192.0.2.1") -> str:
    answer = client.post(LOGIN_PAGE, {"login": name, "password": password}, REMOTE_ADDR=peer)
    if answer.status_code == 302:
        return "in"
    return "limited" if "Too many attempts" in answer.content.decode() else "wrong"


def test_an_address_may_try_a_few_passwords(client: Client, admin: User) -> None:
    tries = [attempt(client, f"guess {number}") for number in range(4)]
    assert tries == ["wrong", "wrong", "wrong", "limited"]
    # The right one no longer helps from here, or a guesser would learn it; elsewhere it does.
    assert attempt(client, "right horse") == "limited"
    assert attempt(client, "right horse", name="nobody") == "limited"
    assert attempt(client, "right horse", peer="192.0.2.2") == "in"


def test_a_name_is_limited_over_all_addresses(client: Client, admin: User) -> None:
    tries = [attempt(client, "guess", peer=f"192.0.2.{last}") for last in range(15)]
    assert set(tries) == {"wrong"}
    assert attempt(client, "guess", name="ROOT", peer="198.51.100.1") == "limited"
    assert attempt(client, "guess", name="other", peer="198.51.100.2") == "wrong"


@pytest.mark.parametrize("name", ["a" * 5000, "a\x00b", "", "é"])
def test_odd_names_are_only_wrong(client: Client, admin: User, name: str) -> None:
    assert attempt(client, "guess", name=name) == "wrong"
    assert all(len(bucket) < 60 for bucket in buckets())


def test_the_bucket_holds_no_name(client: Client, admin: User) -> None:
    attempt(client, "guess", name="hunter2")
    assert not any("hunter2" in bucket for bucket in buckets())

"""The lists of finished and failed tasks: retrying, and deleting many."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ, Task

from tests import pages

pytestmark = pytest.mark.django_db
FAILED = "/admin/django_q/failure/"


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def failed(func: str, *args: Any, **kwargs: Any) -> Task:
    now = timezone.now()
    return Task.objects.create(
        id=secrets.token_hex(16), name="one", func=func, args=args, kwargs=kwargs,
        cluster="lists", success=False, result="it failed", started=now, stopped=now,
    )  # fmt: skip


def chosen(action: str, *tasks: Task) -> dict[str, Any]:
    return {"action": action, "_selected_action": [task.pk for task in tasks]}


def test_failed_tasks_are_queued_again_as_they_were(root: Client) -> None:
    tasks = [failed("os.path.join", "a", "b"), failed("os.remove", path="nowhere")]
    stays = failed("os.getpid")
    answer = root.post(FAILED, chosen("retry", *tasks), follow=True)
    assert [str(one) for one in answer.context["messages"]] == ["2 tasks queued again."]
    queued = {one.task["func"]: one.task for one in OrmQ.objects.all()}
    assert queued["os.path.join"]["args"] == ("a", "b")
    assert queued["os.remove"]["kwargs"] == {"path": "nowhere"}
    assert {one.key for one in OrmQ.objects.all()} == {"lists"}
    assert list(Task.objects.all()) == [stays]


def test_deleting_many_says_which(root: Client) -> None:
    tasks = [failed("os.getpid"), failed("os.getpid"), failed("os.remove", "x")]
    body = chosen("delete_selected", *tasks)
    page = pages.shown(root, FAILED, body)
    assert page.context["lines"] == ["2 × os.getpid", "1 × os.remove"]
    assert Task.objects.count() == 3
    answer = pages.confirm(root, FAILED, body, page)
    assert [str(one) for one in answer.context["messages"]] == ["3 tasks deleted."]
    assert not Task.objects.exists()


def test_others_neither_see_nor_retry(root: Client) -> None:
    task = failed("os.getpid")
    client = Client()
    client.force_login(User.objects.create_user("bob", is_staff=True))
    for action in ("retry", "delete_selected"):
        assert client.post(FAILED, chosen(action, task)).status_code == 403
    assert Task.objects.count() == 1 and not OrmQ.objects.exists()

"""News of commands: one row at once, many rows as one piece of news at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from gallery.items import changing
from gallery.items.models import Image
from gallery.items.signals import batch_notifications, changed, notify_changed
from tests import factories as make

pytestmark = pytest.mark.django_db

News = list[tuple[str, str, list[int], Any, Any]]


@pytest.fixture
def news() -> Iterator[News]:
    heard: News = []

    def listen(by: str, verb: str, rows: Any, before: Any, after: Any, **_: Any) -> None:
        assert connection.in_atomic_block
        heard.append((by, verb, [row.pk for row in rows], before, after))

    changed.connect(listen, weak=False)
    yield heard
    changed.disconnect(listen)


def test_alone_it_is_told_at_once(news: News) -> None:
    notify_changed(by="a", verb="deleted", row=Image(pk=1), after="x")
    assert news == [("a", "deleted", [1], None, "x")]


def test_together_it_is_told_once_at_the_end(news: News) -> None:
    with batch_notifications():
        for pk in (1, 2):
            notify_changed(by="a", verb="deleted", row=Image(pk=pk), before="x", after="y")
        notify_changed(by="a", verb="quarantined", row=Image(pk=3))
        with batch_notifications():
            notify_changed(by="a", verb="deleted", row=Image(pk=4), before="x", after="y")
        assert news == []
    assert news == [("a", "deleted", [1, 2, 4], "x", "y"), ("a", "quarantined", [3], None, None)]


def test_what_differs_is_counted(news: News) -> None:
    with batch_notifications():
        for pk, before in ((1, "ready"), (2, "failed"), (3, "ready")):
            notify_changed(by="a", verb="deleted", row=Image(pk=pk), before=before)
    assert news == [("a", "deleted", [1, 2, 3], {"ready": 2, "failed": 1}, None)]


def test_a_command_that_fails_tells_nothing(news: News) -> None:
    with pytest.raises(RuntimeError), batch_notifications():
        notify_changed(by="a", verb="deleted", row=Image(pk=1))
        raise RuntimeError
    notify_changed(by="a", verb="deleted", row=Image(pk=2))
    assert [rows for _, _, rows, _, _ in news] == [[2]]


def test_a_bulk_command_is_one_piece_of_news(news: News) -> None:
    images = [make.add_ready_image(make.photo(seed)) for seed in (1, 2, 3)]
    ids = [image.pk for image in images]
    news.clear()
    changing.quarantine_items(items=Image.objects.all(), by="user:ana")
    changing.release_items(items=Image.objects.filter(pk__in=ids[:2]), by="user:ana")
    changing.delete_items(
        items=Image.objects.order_by("id"), by="user:ana", reason="because", override=True
    )
    ((_, _, quarantined, before, after), released, overridden, deleted) = news
    assert (sorted(quarantined), before, after) == (ids, "ready", "quarantined")
    assert (released[1], sorted(released[2])) == ("released", ids[:2])
    assert overridden[1:3] == ("withholding overridden", ids[2:])
    assert deleted[1:] == ("deleted", ids, {"ready": 2, "quarantined": 1}, None)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_an_import_tells_of_each_batch(news: News, tmp_path: Any) -> None:
    for seed in range(40):
        (tmp_path / f"{seed}.png").write_bytes(make.png(make.photo(seed, (64, 48))))
    call_command("add_images", str(tmp_path), workers=1)
    verbs = [(verb, len(rows)) for _, verb, rows, _, _ in news]
    assert verbs == [("added", 32), ("published", 32), ("added", 8), ("published", 8)]

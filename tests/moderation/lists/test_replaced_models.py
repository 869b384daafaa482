"""Items of lists while the vectors of another model are filled beside those in use."""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from gallery.imaging.descriptors.base import CNN_DIMENSIONS, COPY_VERSION
from gallery.items.models import ClipVersion
from gallery.items.signals import version_replaced
from moderation.lists import describing, policies
from moderation.lists.models import BannedFingerprint, BannedItem
from moderation.screening import vectors
from tests.moderation.factories import make_item, make_list

pytestmark = pytest.mark.django_db
OLD, NEW = "clip/old", "clip/new"


def described(item: BannedItem, version: str, view: str = "full") -> None:
    column, size = ("clip", 8) if version.startswith("clip") else ("cnn", CNN_DIMENSIONS)
    BannedFingerprint.objects.create(
        item=item, view=view, version=version, **{column: np.ones(size, np.float32)}
    )


def test_checks_compare_by_the_model_in_use_while_another_is_filled() -> None:
    on = make_list()
    items = [make_item(on) for _ in range(3)]
    for item in items:
        described(item, COPY_VERSION)
        described(item, COPY_VERSION, "left")
    assert vectors.usable(policies.current()) == ({"copy"}, {})
    for item in items[:2]:
        described(item, "copy-2")
    assert vectors.usable(policies.current()) == ({"copy"}, {})
    # What the model in use has not described cannot be compared.
    described(make_item(on), "copy-2")
    used, missing = vectors.usable(policies.current())
    assert used == {"copy"} and "described by another copy model" in missing["copy"]


def test_the_switch_waits_for_items_of_lists() -> None:
    on = make_list()
    items = [make_item(on) for _ in range(3)]
    for item in items:
        described(item, OLD)
    make_item(on, ("pdq", secrets.token_hex(32)))
    assert describing.not_ready_for(OLD) == ""
    described(items[0], NEW)
    assert describing.not_ready_for(NEW).startswith("2 items of lists have no vector of clip/new")
    for item in items[1:]:
        described(item, NEW)
    assert describing.not_ready_for(NEW) == ""


def test_vectors_of_a_replaced_model_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describing, "ROWS_PER_BATCH", 2)
    for _ in range(5):
        item = make_item(make_list())
        for version in (OLD, NEW, COPY_VERSION):
            described(item, version)
    version_replaced.send(ClipVersion, version=OLD)
    rows = BannedFingerprint.objects.values_list("version", flat=True)
    assert sorted(rows) == [NEW] * 5 + [COPY_VERSION] * 5

"""A copy that only its hash finds says how it was turned and mirrored, and where it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from moderation.cases.console.presenters import copy_in_words
from moderation.cases.models import CaseMatch
from moderation.lists.models import ListMethod
from tests.factories import add_ready_image, png, wheel_photo
from tests.moderation.factories import make_item, make_list
from tests.moderation.pipeline.test_gates import pdq_of

pytestmark = pytest.mark.django_db
ORIGINAL = wheel_photo("coffee.png", 320).convert("RGB")
Turn = Pillow.Transpose


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda one: one, ""),
        (lambda one: one.transpose(Turn.ROTATE_270), "Copy, turned by 90°."),
        (lambda one: one.transpose(Turn.ROTATE_180), "Copy, turned by 180°."),
        (lambda one: one.transpose(Turn.ROTATE_90), "Copy, turned by 90°."),
        (ImageOps.flip, "Mirrored copy, turned by 180°."),
        (ImageOps.mirror, "Mirrored copy."),
        (lambda one: one.transpose(Turn.TRANSPOSE), "Mirrored copy, turned by 90°."),
        (lambda one: one.transpose(Turn.TRANSVERSE), "Mirrored copy, turned by 90°."),
    ],
)
def test_the_turn_is_known(edit: Callable[[Any], Any], words: str) -> None:
    made = make_list()
    ListMethod.objects.filter(list=made).exclude(match_type="pdq").update(enabled=False)
    make_item(made, ("pdq", pdq_of(ORIGINAL), 100))
    copy = edit(ORIGINAL)
    add_ready_image(data=png(copy))
    match = CaseMatch.objects.get(match_type="pdq", edit="")
    assert copy_in_words(match) == words
    if not words:
        assert match.geometry is None
        return
    # Each corner of the copy shows what that corner of the item shows.
    upload, item = np.asarray(copy, np.float32), np.asarray(ORIGINAL, np.float32)
    pairs = zip(match.geometry["query_region"], match.geometry["candidate_region"], strict=True)
    for there, here in pairs:
        assert np.array_equal(corner(upload, *there), corner(item, *here)), (there, here)


def corner(rgb: Any, x: float, y: float) -> Any:
    return rgb[-1 if y else 0, -1 if x else 0]

"""Items with pictures, hidden: as negatives, and between the strips or tiles of another picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image as Pillow

from benchmarks.hidden_edits import EDITS
from gallery.shared.errors import NotFound
from moderation.cases import media
from moderation.lists import item_adding, item_reading, policies
from moderation.lists.models import BannedItem
from moderation.lists.verdicts import Verdict
from moderation.screening import content, screen
from moderation.screening.types import Screening
from tests.factories import jpeg, photo, wheel_photo
from tests.moderation.factories import ADMIN, make_list

pytestmark = pytest.mark.django_db

COFFEE = np.asarray(wheel_photo("coffee.png"))
CHELSEA = np.asarray(wheel_photo("chelsea.png"))


@pytest.fixture
def coffee() -> Iterator[BannedItem]:
    """On a list that blocks, among other items."""
    pk = make_list(action="block").pk
    pictures = [wheel_photo("coffee.png"), *(photo(number) for number in range(12))]
    made = [item_reading.of_bytes(jpeg(picture), {}) for picture in pictures]
    item_adding.add(by=ADMIN, list_id=pk, made=made, reason="")
    yield BannedItem.objects.earliest("pk")


def screened(rgb: np.ndarray) -> Screening:
    data = jpeg(Pillow.fromarray(np.ascontiguousarray(rgb)))
    return screen.screen(content.of_bytes(data), policies.current())


@pytest.mark.slow
@pytest.mark.parametrize(
    "edit",
    [
        *("negative", "negative, mirrored", "negative with a border", "negative, crop to 80 %"),
        *("every second strip of 8 px, lying", "every second strip of 16 px, standing"),
        *("spread, strips of 8 px between", "chessboard, tiles of 16 px"),
    ],
)
def test_hidden_copies_are_found(edit: str, coffee: BannedItem) -> None:
    found = screened(EDITS[edit](COFFEE, CHELSEA))
    assert found.verdict == Verdict.BLOCK
    assert {match.item_id for match in found.within} == {coffee.pk}


def test_a_negative_says_that_it_is_one(coffee: BannedItem) -> None:
    found = screened(EDITS["negative, crop to 80 %"](COFFEE, CHELSEA))
    assert [(match.match_type, match.edit) for match in found.within] == [("copy", "negative")]
    assert found.within[0].geometry is not None


def test_what_is_between_strips_says_so(coffee: BannedItem) -> None:
    found = screened(EDITS["chessboard, tiles of 16 px"](COFFEE, CHELSEA))
    names = {match.rendering for match in found.within}
    assert names
    assert all(name.startswith("strips-") for name in names)
    data = jpeg(Pillow.fromarray(EDITS["chessboard, tiles of 16 px"](COFFEE, CHELSEA)))
    name = default_storage.save("mixed.jpg", ContentFile(data))
    # A case shows what was compared.
    shown = [media._shown(name, 0, one) for one in sorted(names)]
    assert all(picture.shape == COFFEE.shape for picture in shown)
    with pytest.raises(NotFound):
        media._shown(name, 0, "strips-9")


@pytest.mark.parametrize("edit", ["negative", "every second strip of 8 px, lying"])
def test_strangers_pass(edit: str, coffee: BannedItem) -> None:
    stranger = np.asarray(wheel_photo("astronaut.png"))
    found = screened(EDITS[edit](stranger, CHELSEA))
    assert found.verdict == Verdict.ALLOW


@pytest.mark.slow
@pytest.mark.parametrize("lying", [False, True])
def test_one_of_many_pictures_in_a_long_one_is_found(lying: bool, coffee: BannedItem) -> None:
    height, width = COFFEE.shape[:2]
    around = [np.asarray(photo(20 + number).resize((width, height))) for number in range(9)]
    along = np.concatenate([*around[:4], COFFEE, *around[4:]], axis=1 if lying else 0)
    found = screened(along)
    assert found.verdict == Verdict.BLOCK
    assert {match.item_id for match in found.within} == {coffee.pk}
    rendering = found.within[0].rendering
    assert rendering.startswith("section-")
    name = default_storage.save("long.jpg", ContentFile(jpeg(Pillow.fromarray(along))))
    assert media._shown(name, 0, rendering).shape[:2] == (min(along.shape[:2]),) * 2


def test_strangers_in_a_long_picture_pass(coffee: BannedItem) -> None:
    around = [np.asarray(photo(20 + number).resize((320, 240))) for number in range(8)]
    assert screened(np.concatenate(around)).verdict == Verdict.ALLOW

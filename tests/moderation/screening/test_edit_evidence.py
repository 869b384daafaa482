"""What is enough to take a hash for that of a picture before an edit."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from PIL import ImageOps

from gallery.imaging.descriptors import pdq
from gallery.imaging.descriptors.pdq_transform import MIRRORED_TURN
from gallery.imaging.descriptors.pdq_variants import variants
from gallery.imaging.pixels import Pixels
from moderation.lists.hash_index import pack
from moderation.screening.edit_evidence import CALIBRATED, FARTHEST, NEVER, evidence, scaled
from tests.factories import wheel_photo
from tests.moderation.pipeline.test_gates import pdq_of


def photo(name: str = "chelsea.png") -> Pixels:
    return np.asarray(wheel_photo(name).convert("RGB"), np.uint8)


def boxes(left: int) -> Pixels:
    """A drawing of straight edges."""
    drawn = np.full((240, 240, 3), 255, np.uint8)
    cv2.rectangle(drawn, (left, 60), (left + 90, 200), (20, 20, 160), -1)
    cv2.rectangle(drawn, (10, 10), (60, 230), (0, 0, 0), 2)
    return drawn


def of(rgb: Pixels) -> bytes:
    found = pdq.dihedral_hashes(rgb)
    assert found is not None
    return found[0][0]


def test_one_pass_is_enough_for_what_is_asked() -> None:
    seen = variants(photo(), pdq.LOW_QUALITY)
    assert seen is not None
    assert len(seen.searched) <= 64
    assert len(seen.tried) == len(seen.hashes) == len(seen.margins) == len(seen.drawn)
    turns = Counter(variant.turn for variant in seen.tried)
    assert turns[0] == turns[MIRRORED_TURN] == max(turns.values())
    assert {variant.edit.kind for variant in seen.tried} <= set(CALIBRATED)


def test_each_variant_is_near_to_itself_alone_and_knows_its_detail() -> None:
    seen = variants(photo(), pdq.LOW_QUALITY)
    assert seen is not None
    for number in (0, 40, 100):
        distances = seen.distances(seen.hashes[number : number + 1])[0]
        assert distances[number] == 0 and np.median(distances) > 72
        assert 0.25 < seen.detail(number) <= 1


def test_denial_counts_certain_bits_more() -> None:
    seen = variants(photo(), pdq.LOW_QUALITY)
    assert seen is not None
    order = np.argsort(np.abs(seen.margins[0]))
    denied = []
    for bits in (order[:20], order[-20:]):
        flipped = np.unpackbits(seen.hashes[0])
        flipped[bits] ^= 1
        (found,) = seen.contradictions(np.array([0]), np.packbits(flipped)[np.newaxis])
        denied.append(float(found))
    assert denied[0] < 4 < 60 < denied[1] <= 120


@pytest.mark.parametrize("degrees", [-6, 3, 9])
def test_a_turned_photograph_is_known_and_a_stricter_list_is_stricter(degrees: int) -> None:
    turned = np.asarray(wheel_photo("chelsea.png").rotate(degrees, expand=True), np.uint8)
    seen = variants(turned, pdq.LOW_QUALITY)
    assert seen is not None
    stored = pack([of(photo()), of(photo("coffee.png"))])
    known, stranger = evidence(seen, stored)
    assert known is not None and stranger is None
    assert seen.tried[known.variant].words == f"turned {abs(degrees)}°"
    assert known.distance <= FARTHEST and known.detailed and not known.blocks(seen)
    assert evidence(seen, stored, 0.02) == [None, None]
    assert evidence(seen, stored, 5) == [known, None]


def test_only_a_near_negative_blocks() -> None:
    assert [kind for kind, limits in CALIBRATED.items() if limits.block > NEVER] == ["negative"]
    seen = variants(np.asarray(ImageOps.invert(wheel_photo("chelsea.png"))), pdq.LOW_QUALITY)
    assert seen is not None
    (proof,) = evidence(seen, pack([bytes.fromhex(pdq_of(wheel_photo("chelsea.png")))]))
    assert proof is not None and proof.blocks(seen)
    assert proof.blocks(seen, 0) == (proof.distance == 0)
    assert scaled(NEVER, 1) == NEVER


def test_a_drawing_of_straight_edges_is_no_evidence() -> None:
    shifted = cv2.copyMakeBorder(boxes(110), 6, 6, 6, 6, cv2.BORDER_REPLICATE)[6:, 6:]
    seen = variants(np.ascontiguousarray(shifted), pdq.LOW_QUALITY)
    assert seen is not None
    stored = pack([of(boxes(110))])
    assert seen.distances(stored).min() <= CALIBRATED["crop"].review
    assert evidence(seen, stored) == [None]

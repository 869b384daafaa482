"""Votes of local features name the picture that a query shows a part of, among many."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from gallery.imaging import feature_votes, local_features
from gallery.imaging.feature_votes import FeatureVotes
from gallery.imaging.local_features import LocalFeatures
from tests.factories import photo, wheel_photo

NAMES = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png")
OTHERS = 12


def features(picture: Pillow.Image) -> LocalFeatures:
    return local_features.extract(np.asarray(picture.convert("RGB")))


@pytest.fixture(scope="module")
def known() -> FeatureVotes:
    pictures = [wheel_photo(name) for name in NAMES]
    pictures += [photo(number, (320, 240)) for number in range(OTHERS)]
    rows = np.zeros(len(pictures), feature_votes.FIELDS)
    for row, picture in zip(rows, pictures, strict=True):
        feature_votes.fill(row, features(picture))
    return FeatureVotes.of(rows)


def inset(picture: Pillow.Image) -> Pillow.Image:
    page = photo(99, (800, 600))
    page.paste(picture.resize((280, 220)), (460, 330))
    return page


EDITS = {
    "part": lambda picture: picture.crop((100, 60, 340, 240)),
    "turned": lambda picture: picture.rotate(70, expand=True),
    "mirrored": ImageOps.mirror,
    "inset": inset,
}


@pytest.mark.parametrize("edit", EDITS)
def test_most_votes_are_for_the_picture_that_is_shown(known: FeatureVotes, edit: str) -> None:
    for number, name in enumerate(NAMES):
        votes = known.votes(features(EDITS[edit](wheel_photo(name))))
        assert votes.argmax() == number, name
        assert votes[number] > 2 * np.delete(votes, number).max(), name


def test_inverted_features_find_a_negative(known: FeatureVotes) -> None:
    for number, name in enumerate(NAMES):
        negative = features(ImageOps.invert(wheel_photo(name).convert("RGB")))
        votes = known.votes(negative.inverted())
        assert votes.argmax() == number
        assert votes[number] > 4 * known.votes(negative)[number]


def test_only_the_pictures_with_most_votes_are_counted_in_full(
    known: FeatureVotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = features(EDITS["part"](wheel_photo(NAMES[2])))
    every = known.votes(query)
    monkeypatch.setattr(feature_votes, "COUNTED", 3)
    some = known.votes(query)
    assert some[2] == every[2] and np.count_nonzero(some) <= 6 < np.count_nonzero(every)


def test_without_features_nobody_votes(known: FeatureVotes) -> None:
    flat = features(Pillow.new("RGB", (300, 300), (9, 9, 9)))
    assert not known.votes(flat).any()
    rows = np.zeros(2, feature_votes.FIELDS)
    feature_votes.fill(rows[0], flat)
    nothing = FeatureVotes.of(rows)
    assert nothing.votes(features(wheel_photo(NAMES[0]))).tolist() == [0.0, 0.0]
    assert FeatureVotes.of(rows[:0]).votes(flat).tolist() == []

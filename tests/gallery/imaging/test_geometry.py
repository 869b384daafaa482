"""Which pictures show one another, and how; and which do not."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from gallery.imaging.geometry import GeometricMatch, verify, verify_many
from gallery.imaging.local_features import LocalFeatures, extract
from gallery.imaging.transforms import MIN_PLACES, transform_points
from tests.examples import fuzz

NAMES = ("astronaut", "coffee", "chelsea", "rocket", "hubble_deep_field", "retina")
PICTURES = {name: np.asarray(getattr(skimage.data, name)(), np.uint8) for name in NAMES}
ASTRONAUT, COFFEE = PICTURES["astronaut"], PICTURES["coffee"]


@cache
def stored(name: str) -> bytes:
    return extract(PICTURES[name]).pack()


def found(query: Any, name: str) -> GeometricMatch:
    match = verify_many(extract(np.ascontiguousarray(query)), [stored(name)])[0]
    assert match is not None
    return match


def crop(rgb: Any, box: tuple[float, float, float, float]) -> Any:
    height, width = rgb.shape[:2]
    left, top, right, bottom = np.rint(np.multiply(box, (width, height) * 2)).astype(int)
    return rgb[top:bottom, left:right]


def rotated(rgb: Any, degrees: float) -> Any:
    """Clockwise, on a larger black canvas."""
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    size = int(height * sin + width * cos), int(height * cos + width * sin)
    matrix[:, 2] += np.array(size) / 2 - (width / 2, height / 2)
    return cv2.warpAffine(rgb, matrix, size, flags=cv2.INTER_LINEAR)


def bordered(rgb: Any, y: int, x: int) -> Any:
    return cv2.copyMakeBorder(rgb, y, y, x, x, cv2.BORDER_CONSTANT, value=(30, 90, 160))


def jpeg(rgb: Any, quality: int) -> Any:
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(rgb), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def resized(rgb: Any, x: float, y: float) -> Any:
    return cv2.resize(rgb, None, fx=x, fy=y, interpolation=cv2.INTER_AREA)


def collage(rgb: Any, others: list[Any]) -> Any:
    page = [cv2.resize(part, (500, 400), interpolation=cv2.INTER_AREA) for part in (*others, rgb)]
    return np.vstack([np.hstack(page[:2]), np.hstack(page[2:])])


def inset(rgb: Any, ground: Any) -> Any:
    page = cv2.resize(ground, (1000, 800))
    page[480:760, 560:960] = cv2.resize(rgb, (400, 280), interpolation=cv2.INTER_AREA)
    return page


def captioned(rgb: Any) -> Any:
    page = cv2.copyMakeBorder(rgb, 100, 0, 0, 0, cv2.BORDER_CONSTANT, value=(255,) * 3)
    cv2.putText(page, "WHEN YOU SEE IT", (10, 70), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (0,) * 3, 4)
    return page


OTHERS = [PICTURES[name] for name in ("hubble_deep_field", "retina", "rocket")]
EDITS: dict[str, Callable[[Any], Any]] = {
    "crop to half the side": lambda rgb: crop(rgb, (0.25, 0.2, 0.75, 0.7)),
    "turn 5": lambda rgb: rotated(rgb, 5),
    "turn 25": lambda rgb: rotated(rgb, 25),
    "turn 90": lambda rgb: np.rot90(rgb, -1),
    "turn 180": lambda rgb: np.rot90(rgb, 2),
    "mirror": lambda rgb: rgb[:, ::-1],
    "border": lambda rgb: bordered(rgb, rgb.shape[0] // 4, rgb.shape[1] // 4),
    "letterbox": lambda rgb: bordered(rgb, 100, 0),
    "caption": captioned,
    "jpeg": lambda rgb: jpeg(rgb, 10),
    "small": lambda rgb: resized(rgb, 0.25, 0.25),
    "blur": lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 3),
    "wide": lambda rgb: resized(rgb, 1.3, 1.0),
    "narrow": lambda rgb: resized(rgb, 0.7, 1.0),
    "grey": lambda rgb: cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
    "dark": lambda rgb: (255 * (rgb / 255) ** 2 * 0.7).astype(np.uint8),
    "collage": lambda rgb: collage(rgb, OTHERS),
    "inset": lambda rgb: inset(rgb, OTHERS[0]),
    "combination": lambda rgb: jpeg(captioned(crop(rgb, (0.1, 0.05, 0.95, 0.9))[:, ::-1]), 40),
}
SHOWN = {
    # rotation, mirrored, border, crop, candidate box
    "crop to half the side": (0, False, False, True, (0.25, 0.2, 0.75, 0.7)),
    "turn 5": (5, False, True, False, None),
    "turn 25": (25, False, True, False, None),
    "turn 90": (90, False, False, False, None),
    "turn 180": (180, False, False, False, None),
    "mirror": (0, True, False, False, None),
    "border": (0, False, True, False, None),
    "letterbox": (0, False, True, False, None),
    "caption": (0, False, True, False, None),
    "collage": (0, False, True, False, None),
    "inset": (0, False, True, False, None),
    # The caption is where the top of the picture was.
    "combination": (0, True, True, True, (0.1, 0.0, 0.95, 0.9)),
}


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_copy_is_found_and_described(edit: str, name: str) -> None:
    match = found(EDITS[edit](PICTURES[name]), name)
    assert match.inliers > 12
    assert match.support > 0.2
    rotation, mirrored, border, cropped, box = SHOWN.get(edit, (0, False, False, False, None))
    turn = (match.rotation - rotation + 180) % 360 - 180
    assert abs(turn) < 3
    assert (match.mirrored, match.border, match.crop) == (mirrored, border, cropped)
    assert match.candidate_box == pytest.approx(box or (0, 0, 1, 1), abs=0.03)


def test_where_the_query_shows_the_picture() -> None:
    match = found(bordered(COFFEE, 100, 150), "coffee")
    assert match.query_box == pytest.approx((1 / 6, 1 / 6, 5 / 6, 5 / 6), abs=0.005)
    assert match.query_area == pytest.approx(4 / 9, abs=0.01)
    assert match.candidate_area == pytest.approx(1.0, abs=0.01)
    match = found(collage(COFFEE, OTHERS), "coffee")
    assert match.query_box == pytest.approx((0.5, 0.5, 1, 1), abs=0.01)
    match = found(inset(COFFEE, OTHERS[0]), "coffee")
    assert match.query_box == pytest.approx((0.56, 0.6, 0.96, 0.95), abs=0.02)


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0])
def test_scale(factor: float) -> None:
    assert found(resized(COFFEE, factor, factor), "coffee").scale == pytest.approx(factor, rel=0.01)


def test_matrix_and_regions_tell_the_same() -> None:
    for edit in ("turn 25", "mirror", "border", "combination", "crop to half the side"):
        query = EDITS[edit](COFFEE)
        match = found(query, "coffee")
        height, width = query.shape[:2]
        assert match.query_size == (width, height)
        assert match.candidate_size == (600, 400)
        in_query = np.array(match.query_region) * match.query_size
        in_candidate = np.array(match.candidate_region) * match.candidate_size
        assert 3 <= len(in_query) <= 8
        assert transform_points(np.array(match.matrix), in_query) == pytest.approx(
            in_candidate, abs=0.5
        )
        assert (np.linalg.det(np.array(match.matrix)[:, :2]) < 0) == match.mirrored


@pytest.mark.slow
@fuzz(8)
@given(
    left=st.floats(0, 0.4),
    top=st.floats(0, 0.4),
    share=st.floats(0.5, 0.6),
    degrees=st.integers(-180, 180),
    mirrored=st.booleans(),
)
def test_any_crop_turned_and_mirrored(
    left: float, top: float, share: float, degrees: int, mirrored: bool
) -> None:
    box = left, top, left + share, top + share
    query = rotated(crop(ASTRONAUT, box), degrees)
    query = query[:, ::-1] if mirrored else query
    match = found(query, "astronaut")
    assert match.inliers > 12
    assert match.mirrored == mirrored
    assert abs((match.rotation - degrees + 180) % 360 - 180) < 3
    assert match.scale == pytest.approx(1.0, abs=0.03)
    centre = np.array([[query.shape[1] / 2, query.shape[0] / 2]])
    expected = 512 * np.array([[left + share / 2, top + share / 2]])
    assert transform_points(np.array(match.matrix), centre) == pytest.approx(expected, abs=6)


def test_unlike_photographs_do_not_match() -> None:
    for name, other in itertools.permutations(NAMES, 2):
        assert verify_many(extract(PICTURES[name]), [stored(other)]) == [None]


def test_turned_over_query_and_turned_over_picture_are_the_same_case() -> None:
    for name in NAMES[:4]:
        upright, mirrored = PICTURES[name], np.ascontiguousarray(PICTURES[name][:, ::-1])
        one = verify(extract(mirrored), extract(upright))
        other = verify(extract(upright), extract(mirrored))
        assert one is not None
        assert other is not None
        assert one.mirrored
        assert other.mirrored
        assert one.inliers == pytest.approx(other.inliers, rel=0.05)
        as_if = verify(extract(upright).mirrored(), extract(mirrored))
        assert as_if is not None
        assert not as_if.mirrored
        assert as_if.inliers == pytest.approx(one.inliers, rel=0.05)


def test_query_and_candidate_exchanged() -> None:
    part, whole = extract(crop(COFFEE, (0.1, 0.2, 0.8, 0.9))), extract(COFFEE)
    there, back = verify(part, whole), verify(whole, part)
    assert there is not None
    assert back is not None
    assert there.candidate_box == pytest.approx(back.query_box, abs=0.01)
    assert there.scale * back.scale == pytest.approx(1.0, abs=0.01)
    assert (there.crop, there.border) == (True, False)
    assert (back.crop, back.border) == (False, True)


def test_many_are_answered_in_order_however_they_are_given() -> None:
    query = extract(bordered(COFFEE, 50, 50))
    given_as = [
        stored("astronaut"),
        stored("coffee"),
        memoryview(stored("coffee")),
        LocalFeatures.unpack(stored("coffee")),
        extract(np.zeros((90, 90, 3), np.uint8)).pack(),
        stored("coffee"),
    ]
    matches = verify_many(query, given_as)
    assert matches[0] is matches[4] is None
    assert matches[1] is not None
    assert matches[1] == matches[2] == matches[3] == matches[5]
    assert verify_many(query, []) == []
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: verify_many(query, given_as), range(8))) == [matches] * 8


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((1, 4000, 3), np.uint8),
        np.full((300, 400, 3), 200, np.uint8),
        cv2.GaussianBlur(ASTRONAUT, (0, 0), 60),
        np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8),
    ],
    ids=["pixel", "line", "flat", "blurred", "noise"],
)
def test_what_has_nothing_to_compare_matches_nothing(rgb: Any) -> None:
    query = extract(rgb)
    assert verify_many(query, [stored(name) for name in NAMES]) == [None] * len(NAMES)
    assert verify_many(extract(ASTRONAUT), [query]) == [None]


WORDS = [
    *("quick", "report", "market", "people", "system", "garden", "never", "water", "light"),
    *("under", "every", "house", "being", "number", "between", "country", "through", "mother"),
    *("because", "different", "important", "school", "often", "paper"),
]


def card(seed: int, lines: int = 12) -> Any:
    random = np.random.default_rng(seed)
    page = np.full((600, 800, 3), 255, np.uint8)
    for i in range(lines):
        text = " ".join(random.choice(WORDS, 6))
        cv2.putText(page, text, (20, 60 + i * 45), cv2.FONT_HERSHEY_DUPLEX, 0.9, (0, 0, 0), 1)
    return page


def test_cards_that_share_words_do_not_look_like_copies() -> None:
    features = [extract(card(seed)) for seed in range(8)]
    for one, other in itertools.combinations(features, 2):
        match = verify(one, other)
        # Many places may agree where words stand below one another; most do not.
        assert match is None or match.support < 0.2
    copy = verify(extract(jpeg(card(0), 30)), features[0])
    assert copy is not None
    assert copy.inliers > 60
    assert copy.support > 0.5


def test_one_line_in_common_is_little_of_either() -> None:
    first, second = card(1), card(2)
    second[70:120] = first[70:120]
    match = verify(extract(first), extract(second))
    assert match is not None
    assert match.support < 0.2


def squares(side: int) -> Any:
    y, x = np.mgrid[:480, :640]
    return np.repeat((((x // side + y // side) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)


def waves(side: float) -> Any:
    y, x = np.mgrid[:480, :640] / side * 2 * np.pi
    return np.repeat((128 + 100 * np.sin(x) * np.sin(y)).astype(np.uint8)[..., None], 3, axis=2)


def lines(side: int) -> Any:
    y, x = np.mgrid[:480, :640]
    grid = ((x % side < 3) | (y % side < 3)) * 200
    return np.repeat(grid.astype(np.uint8)[..., None], 3, axis=2)


def test_patterns_that_repeat_do_not_match_other_patterns() -> None:
    made = [
        extract(pattern(side))
        for pattern, side in itertools.product((squares, waves, lines), (24, 40, 64))
    ]
    for one, other in itertools.combinations(made, 2):
        match = verify(one, other)
        assert match is None or match.support < 0.4
    for pattern in made:
        assert verify_many(pattern, [stored(name) for name in NAMES]) == [None] * len(NAMES)


def test_the_same_logo_in_two_pictures_is_a_small_part_of_both() -> None:
    logo = cv2.resize(ASTRONAUT, (120, 120), interpolation=cv2.INTER_AREA)
    one, other = COFFEE.copy(), PICTURES["rocket"].copy()
    one[20:140, 20:140], other[280:400, 500:620] = logo, logo
    match = verify(extract(one), extract(other))
    assert match is not None
    assert match.spread < 0.06
    assert max(match.query_area, match.candidate_area) < 0.2


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_in_their_ranges(name: str) -> None:
    match = found(jpeg(PICTURES[name], 50), name)
    assert MIN_PLACES <= match.inliers <= match.tentative
    assert 0.0 < match.support <= 1.0
    assert 0.0 <= match.residual < 0.02
    assert 0.01 <= match.spread < 0.5
    assert -180.0 <= match.rotation <= 180.0
    for region in (match.query_region, match.candidate_region):
        assert all(0.0 <= value <= 1.0 for corner in region for value in corner)


def test_as_json() -> None:
    match = found(np.rot90(crop(COFFEE, (0.1, 0.1, 0.9, 0.9)), -1)[:, ::-1], "coffee")
    told = match.as_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["inliers"] == match.inliers
    assert told["mirrored"] is True
    assert told["border"] is False
    assert told["crop"] is True
    assert told["rotation"] == pytest.approx(90, abs=1)
    assert told["scale"] == pytest.approx(1, abs=0.02)
    assert told["candidate_box"] == pytest.approx([0.1, 0.1, 0.9, 0.9], abs=0.02)
    assert told["candidate_area"] == pytest.approx(0.64, abs=0.03)
    assert len(told["query_region"]) == len(told["candidate_region"]) == 4
    assert set(told) == {
        *("inliers", "support", "mirrored", "rotation", "scale", "border", "crop"),
        *("query_box", "candidate_box", "query_area", "candidate_area"),
        *("query_region", "candidate_region"),
    }
    assert all(len(str(value)) <= 8 for value in told.values() if isinstance(value, float))

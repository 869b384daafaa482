"""The ``copy`` match type: what is stored of a picture, and what a query is looked up by."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from gallery.imaging import local_features
from gallery.imaging.descriptors.base import DescribablePicture, Descriptor
from gallery.imaging.descriptors.cnn import DIMENSIONS, square
from gallery.imaging.descriptors.copy import PART_VIEWS, Copy, CopyDescription, is_flat
from gallery.imaging.local_features import LocalFeatures
from gallery.imaging.pixels import Pixels
from gallery.shared.errors import Unavailable, UserError

ROOT = Path(__file__).parents[4]


def picture(rgb: Pixels) -> DescribablePicture:
    upright = np.ascontiguousarray(rgb, np.uint8)
    return SimpleNamespace(rgb=upright, legacy_rgb=np.zeros_like(upright))


def plain(value: int, height: int = 90, width: int = 140) -> Pixels:
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture(scope="module")
def copy(models: Path) -> Copy:
    return Copy(models)


@pytest.fixture(scope="module")
def photos() -> dict[str, Pixels]:
    data = skimage.data
    return {
        "astronaut": data.astronaut(),
        "cat": data.chelsea(),
        "coffee": data.coffee(),
        "rocket": data.rocket(),
        "camera": np.dstack([data.camera()] * 3),
    }


@pytest.fixture(scope="module")
def stored(copy: Copy, photos: dict[str, Pixels]) -> dict[str, Any]:
    described = copy.describe([picture(rgb) for rgb in photos.values()])
    return dict(zip(photos, described, strict=True))


# --- Stored -------------------------------------------------------------------------------


def test_it_is_a_descriptor_with_a_version(copy: Copy) -> None:
    descriptor: Descriptor = copy
    assert (descriptor.name, descriptor.version) == ("copy", "copy-1")
    assert descriptor.unavailable() is None


def test_what_is_stored(stored: dict[str, Any], photos: dict[str, Pixels]) -> None:
    for name, columns in stored.items():
        assert set(columns) == {"cnn", "local_features"}
        assert columns["cnn"].shape == (DIMENSIONS,) and columns["cnn"].dtype == np.float32
        assert float(np.linalg.norm(columns["cnn"])) == pytest.approx(1, abs=1e-6)
        assert isinstance(columns["local_features"], bytes)
        assert len(columns["local_features"]) <= local_features.MAX_BYTES
        features = LocalFeatures.unpack(columns["local_features"])
        assert (features.height, features.width) == photos[name].shape[:2]
        assert len(features) > 50


def test_flat_pictures_have_none_and_the_others_keep_their_places(
    copy: Copy, photos: dict[str, Pixels], stored: dict[str, Any]
) -> None:
    flat, cat = picture(plain(80)), picture(photos["cat"])
    first, second, third, fourth = copy.describe([flat, cat, flat, picture(photos["coffee"])])
    assert first is None and third is None
    assert second and np.allclose(second["cnn"], stored["cat"]["cnn"], atol=1e-5)
    assert fourth and fourth["local_features"] == stored["coffee"]["local_features"]
    assert copy.describe([flat, flat]) == [None, None]
    assert copy.describe([]) == []


def test_flat_is_one_colour_as_far_as_compression_leaves_it_one(copy: Copy) -> None:
    noise = np.random.default_rng(0).integers(-2, 3, (90, 140, 3))
    assert copy.describe([picture(plain(0)), picture(plain(120) + noise)]) == [None, None]
    faint = plain(250)
    cv2.putText(faint, "faint", (10, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (240, 240, 240), 3)
    assert copy.describe([picture(faint)]) != [None]
    assert is_flat(plain(7)) and not is_flat(square(faint))


@pytest.mark.parametrize("shape", [(1, 1), (2, 2000), (2000, 2), (3, 7)])
def test_tiny_and_narrow_pictures_are_described(copy: Copy, shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    (columns,) = copy.describe([picture(rgb)])
    if shape == (1, 1):
        assert columns is None
    else:
        assert columns and len(LocalFeatures.unpack(columns["local_features"])) == 0


def test_without_a_model_nothing_is_described(tmp_path: Path, photos: dict[str, Pixels]) -> None:
    copy = Copy(tmp_path)
    assert "prepare_models" in (copy.unavailable() or "")
    with pytest.raises(Unavailable, match="prepare_models"):
        copy.describe([picture(photos["cat"])])
    with pytest.raises(Unavailable, match="prepare_models"):
        copy.query(picture(photos["cat"]))


def test_words_are_refused(copy: Copy) -> None:
    with pytest.raises(UserError, match="pictures only"):
        copy.describe_text(["a cat"])


# --- Compared -----------------------------------------------------------------------------


def test_a_crop_is_explained_by_places_that_agree(
    copy: Copy, photos: dict[str, Pixels], stored: dict[str, Any]
) -> None:
    (cropped,) = copy.describe([picture(photos["astronaut"][60:400, 100:440])])
    assert cropped
    found = copy.explain(cropped, stored["astronaut"])
    assert found["distance"] == copy.distance(cropped, stored["astronaut"])
    assert found["inliers"] > 40
    for name in set(stored) - {"astronaut"}:
        other = copy.explain(cropped, stored[name])
        assert other["distance"] > found["distance"] + 0.2
        assert other["inliers"] < 8


def test_distance_is_zero_to_itself_and_the_same_both_ways(
    copy: Copy, stored: dict[str, Any]
) -> None:
    cat, coffee = stored["cat"], stored["coffee"]
    assert copy.distance(cat, cat) == pytest.approx(0, abs=1e-6)
    assert copy.distance(cat, cat) >= 0
    assert copy.distance(cat, coffee) == pytest.approx(copy.distance(coffee, cat))
    assert 0.5 < copy.distance(cat, coffee) < 1.5


# --- Looked up ----------------------------------------------------------------------------


def distances(query: CopyDescription, columns: Any) -> dict[str, float]:
    return {view: 1 - float(vector @ columns["cnn"]) for view, vector in query.vectors.items()}


def collage(*pictures: Pixels) -> Pixels:
    cells = [cv2.resize(rgb, (300, 250), interpolation=cv2.INTER_AREA) for rgb in pictures]
    return np.asarray(np.vstack([np.hstack(cells[:2]), np.hstack(cells[2:])]), np.uint8)


def test_quarters_find_the_members_of_a_collage(
    copy: Copy, photos: dict[str, Pixels], stored: dict[str, Any]
) -> None:
    members = dict(zip(PART_VIEWS, ("astronaut", "coffee", "rocket", "camera"), strict=True))
    query = copy.query(picture(collage(*(photos[name] for name in members.values()))))
    for view, name in members.items():
        found = distances(query, stored[name])
        assert min(found, key=found.__getitem__) == view
        assert found[view] < 0.1 < found["full"]
    assert min(distances(query, stored["cat"]).values()) > 0.5


def test_without_its_border_a_picture_is_found(
    copy: Copy, photos: dict[str, Pixels], stored: dict[str, Any]
) -> None:
    sides, green = (150, 150, 200, 200), (20, 90, 60)
    border = cv2.copyMakeBorder(photos["coffee"], *sides, cv2.BORDER_CONSTANT, value=green)
    found = distances(copy.query(picture(np.asarray(border, np.uint8))), stored["coffee"])
    assert found["trimmed"] < 0.05 < found["full"]
    assert "trimmed" not in copy.query(picture(photos["coffee"])).vectors


TURNS: dict[str, Callable[[Pixels], Pixels]] = {
    "mirrored": lambda rgb: rgb[:, ::-1],
    "rotated 90": np.rot90,
    "rotated 180": lambda rgb: np.rot90(rgb, 2),
}


@pytest.mark.parametrize("turn", TURNS)
def test_turned_pictures_stay_near_without_a_view_of_their_own(
    copy: Copy, photos: dict[str, Pixels], stored: dict[str, Any], turn: str
) -> None:
    for name, rgb in photos.items():
        query = copy.query(picture(TURNS[turn](rgb)))
        found = {other: distances(query, columns)["full"] for other, columns in stored.items()}
        assert min(found, key=found.__getitem__) == name


@pytest.mark.parametrize("side", [1, 2, 63, 64])
def test_small_queries_have_no_quarters(copy: Copy, side: int) -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (side, 2 * side, 3), np.uint8)
    query = copy.query(picture(rgb))
    assert set(query.vectors) == {"full", *(PART_VIEWS if side == 64 else ())}


def test_a_quarter_without_content_is_left_out(copy: Copy, photos: dict[str, Pixels]) -> None:
    page = plain(255, 500, 700)
    page[:250, :350] = photos["coffee"][:250, :350]
    assert set(copy.query(picture(page)).vectors) - {"trimmed"} == {"full", "top_left"}


def test_a_query_is_full_size_vectors_and_its_own_features(
    copy: Copy, photos: dict[str, Pixels]
) -> None:
    query = copy.query(picture(photos["rocket"]))
    for vector in query.vectors.values():
        assert vector.shape == (DIMENSIONS,) and vector.dtype == np.float32
        assert float(np.linalg.norm(vector)) == pytest.approx(1, abs=1e-6)
    expected = local_features.extract(photos["rocket"])
    assert np.array_equal(query.features.records, expected.records)
    assert (query.features.width, query.features.height) == (expected.width, expected.height)


def test_a_huge_query_is_nearest_to_itself_and_keeps_its_size(
    copy: Copy, photos: dict[str, Pixels], stored: dict[str, Any]
) -> None:
    huge = np.asarray(cv2.resize(photos["cat"], (4000, 2660)), np.uint8)
    query, (columns,) = copy.query(picture(huge)), copy.describe([picture(huge)])
    assert distances(query, columns)["full"] == pytest.approx(0, abs=1e-5)
    assert distances(query, stored["cat"])["full"] < 0.02
    assert (query.features.width, query.features.height) == (4000, 2660)


def test_a_flat_query_has_nothing_to_look_up_by(copy: Copy) -> None:
    query = copy.query(picture(plain(33)))
    assert query.vectors == {} and len(query.features) == 0


def test_searching_and_describing_never_import_torch(models: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from types import SimpleNamespace
        import numpy as np
        from gallery.imaging.descriptors.copy import Copy
        rgb = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
        copy = Copy(Path(sys.argv[1]))
        copy.prepare()
        (columns,) = copy.describe([SimpleNamespace(rgb=rgb)])
        assert len(copy.query(SimpleNamespace(rgb=rgb)).vectors) > 1 and len(columns["cnn"]) == 512
        print(sorted({"torch", "timm", "onnx", "django"} & set(sys.modules)))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(models)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr

"""Global copy vectors: how a picture becomes a square and a square a vector."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from gallery.imaging.descriptors import base, cnn_model
from gallery.imaging.descriptors.cnn import (
    DIMENSIONS,
    SIDE,
    Cnn,
    square,
)
from gallery.imaging.pixels import Pixels
from gallery.shared.errors import Unavailable


@pytest.fixture(scope="module")
def model(models: Path) -> Cnn:
    return Cnn(models)


@pytest.fixture(scope="module")
def photos() -> list[Pixels]:
    data = skimage.data
    grey = [np.dstack([pixels] * 3) for pixels in (data.camera(), data.coins(), data.moon())]
    return [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), *grey]


def embed(model: Cnn, pictures: list[Pixels]) -> NDArray[np.float32]:
    return model.embed(np.stack([square(rgb) for rgb in pictures]))


# --- Squares ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (256, 256), (40, 900), (900, 40)])
def test_every_shape_becomes_a_square(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    squared = square(rgb)
    assert squared.shape == (SIDE, SIDE, 3) and squared.dtype == np.uint8
    assert squared.flags.c_contiguous
    if shape == (256, 256):
        np.testing.assert_array_equal(squared, rgb)


def test_shrinking_averages_all_pixels() -> None:
    chequered = (np.indices((1024, 512)).sum(axis=0) % 2 * 200).astype(np.uint8)
    assert np.unique(square(np.dstack([chequered] * 3))).tolist() == [100]


def test_enlarging_has_no_steps() -> None:
    ramp = np.dstack([np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))] * 3)
    assert np.diff(square(ramp)[0, :, 0].astype(int)).max() <= 1


def test_a_view_of_an_array_is_taken_as_it_is_seen() -> None:
    rgb = skimage.data.astronaut()
    np.testing.assert_array_equal(square(rgb[:, ::-1]), square(rgb[:, ::-1].copy()))


# --- Vectors ------------------------------------------------------------------------------


def test_vectors_have_unit_length_and_are_pinned(model: Cnn) -> None:
    """Other numbers need another version: these are stored in galleries."""
    (vector,) = model.embed(cnn_model.golden_square(cnn_model.SIDE)[np.newaxis])
    assert vector.shape == (DIMENSIONS,) and vector.dtype == np.float32
    assert float(np.linalg.norm(vector)) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(vector[:6], PINNED, atol=1e-3)


def test_a_vector_does_not_depend_on_its_batch(model: Cnn, photos: list[Pixels]) -> None:
    many = embed(model, photos * 5)
    assert many.shape == (len(photos) * 5, DIMENSIONS)
    alone = np.concatenate([embed(model, [rgb]) for rgb in photos])
    np.testing.assert_allclose(many, np.tile(alone, (5, 1)), atol=1e-5)
    assert model.embed(np.empty((0, SIDE, SIDE, 3), np.uint8)).shape == (0, DIMENSIONS)


def test_edited_copies_stay_near_and_others_far(model: Cnn, photos: list[Pixels]) -> None:
    originals = embed(model, photos)
    edits = {
        "half": lambda rgb: cv2.resize(rgb, None, fx=0.5, fy=0.5),
        "darker": lambda rgb: (rgb * 0.6).astype(np.uint8),
        "blurred": lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 3),
        "grey": lambda rgb: np.dstack([cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)] * 3),
        "cropped": lambda rgb: rgb[40:-40, 40:-40],
        "compressed": lambda rgb: cv2.imdecode(cv2.imencode(".jpg", rgb, [1, 10])[1], 1),
    }
    for name, edit in edits.items():
        similar = embed(model, [edit(rgb) for rgb in photos]) @ originals.T
        own = similar.diagonal().copy()
        np.fill_diagonal(similar, -1)
        assert (own > similar.max(axis=1) + 0.2).all(), name


# --- The model's life ---------------------------------------------------------------------


def test_threads_that_start_together_load_it_once(
    models: Path, photos: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    real = cnn_model.load
    monkeypatch.setattr(cnn_model, "load", lambda *args: loads.append(args) or real(*args))
    fresh = Cnn(models)
    assert fresh.unavailable() is None and not loads  # asking loads nothing
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(lambda _: embed(fresh, photos[:1]), range(4)))
    assert loads == [(models,)]
    assert all(np.array_equal(vector, vectors[0]) for vector in vectors)


def test_a_failed_load_is_left_alone_for_a_while(
    models: Path, tmp_path: Path, photos: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "RETRY_SECONDS", 0.5)
    for suffix in ("", ".sha256"):
        (tmp_path / f"{cnn_model.NAME}{suffix}").write_bytes(b"damaged")
    model = Cnn(tmp_path)
    assert model.unavailable() is None
    with pytest.raises(Unavailable, match="damaged"):
        embed(model, photos[:1])
    for suffix in ("", ".sha256"):
        (tmp_path / f"{cnn_model.NAME}{suffix}").write_bytes(
            (models / f"{cnn_model.NAME}{suffix}").read_bytes()
        )
    assert "damaged" in (model.unavailable() or "")
    with pytest.raises(Unavailable, match="damaged"):
        embed(model, photos[:1])
    time.sleep(0.5)
    assert model.unavailable() is None
    assert embed(model, photos[:1]).shape == (1, DIMENSIONS)


def test_preparing_ends_the_wait(models: Path, tmp_path: Path, photos: list[Pixels]) -> None:
    model = Cnn(tmp_path)
    assert "prepare_models" in (model.unavailable() or "")
    (tmp_path / cnn_model.NAME).write_bytes(b"damaged")
    (tmp_path / f"{cnn_model.NAME}.sha256").write_text("of another file")
    with pytest.raises(Unavailable):
        embed(model, photos[:1])
    for suffix in ("", ".sha256"):
        (tmp_path / f"{cnn_model.NAME}{suffix}").write_bytes(
            (models / f"{cnn_model.NAME}{suffix}").read_bytes()
        )
    model.prepare()
    assert model.unavailable() is None
    assert embed(model, photos[:1]).shape == (1, DIMENSIONS)


PINNED = [0.1451, -0.0369, 0.1179, -0.0774, -0.0075, -0.0370]

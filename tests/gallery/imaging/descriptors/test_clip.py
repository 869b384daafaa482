"""CLIP through the real library with a tiny model; the hub's side with a local HTTP server."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import skimage.data
from PIL import Image

from gallery.imaging.decoding import decode
from gallery.imaging.decoding.limits import PictureLimits
from gallery.imaging.decoding.pictures import Picture
from gallery.imaging.descriptors import base, clip_weights
from gallery.imaging.descriptors import clip as clip_module
from gallery.imaging.descriptors.clip import Clip, has_avx512_bf16
from gallery.shared.errors import Unavailable
from tests import tiny_clip

ROOT = Path(__file__).parents[4]
MODEL, TAG = clip_weights.DEFAULT


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip.make(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture(scope="session")
def clip(tiny: Path) -> Clip:
    return Clip(MODEL, str(tiny), precision="fp32")


def picture(pixels: Any, **options: Any) -> Picture:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", **options)
    return decode(out.getvalue(), PictureLimits())


@pytest.fixture(scope="session")
def pictures() -> list[Picture]:
    data = skimage.data
    photos = [data.astronaut(), data.chelsea(), data.coffee(), np.dstack([data.camera()] * 3)]
    noise = np.random.default_rng(0).integers(0, 256, (16, 40, 60, 3), np.uint8)
    return [picture(pixels) for pixels in (*photos, *noise)]


def vectors(clip: Clip, pictures: list[Picture]) -> Any:
    return np.stack([columns["clip"] for columns in clip.describe(pictures) if columns])


# --- The vectors --------------------------------------------------------------------------


def test_vectors_are_those_of_open_clip(tiny: Path, clip: Clip, pictures: list[Picture]) -> None:
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tiny}")
    tokens = open_clip.get_tokenizer(f"local-dir:{tiny}")(["a cat", "a rocket"])
    with torch.inference_mode():
        image = preprocess(Image.fromarray(pictures[0].rgb)).unsqueeze(0)
        expected = model.eval().encode_image(image, normalize=True).numpy()
        expected_text = model.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(vectors(clip, pictures[:1]), expected, atol=1e-6)
    np.testing.assert_allclose(clip.describe_text(["a cat", "a rocket"]), expected_text, atol=1e-6)


def test_a_batch_gives_what_single_pictures_give(clip: Clip, pictures: list[Picture]) -> None:
    assert len(pictures) > clip_module.PICTURES_PER_BATCH
    batch = vectors(clip, pictures)
    assert batch.shape == (len(pictures), tiny_clip.DIMENSIONS)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(batch, axis=1), 1, atol=1e-6)
    singles = np.concatenate([vectors(clip, [picture]) for picture in pictures])
    np.testing.assert_allclose(batch, singles, atol=1e-5)


def test_words_have_vectors_in_the_same_space(clip: Clip) -> None:
    cat, again, rocket, long = clip.describe_text(["a cat", "a cat", "a rocket", "word " * 500])
    assert cat.shape == (tiny_clip.DIMENSIONS,)
    assert np.linalg.norm(long) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(cat, again)
    assert clip.distance({"clip": cat}, {"clip": rocket}) > 1e-3


def test_nothing_in_nothing_out(clip: Clip) -> None:
    assert clip.describe([]) == []
    assert clip.describe_text([]) == []


def test_the_upright_picture_is_described(clip: Clip) -> None:
    photo = skimage.data.chelsea()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture(np.ascontiguousarray(np.rot90(photo)), exif=exif)
    np.testing.assert_array_equal(vectors(clip, [turned]), vectors(clip, [picture(photo)]))


def test_distance_is_the_cosine_distance(clip: Clip) -> None:
    east, north = np.eye(2, dtype=np.float32)
    assert clip.distance({"clip": east}, {"clip": east}) == 0
    assert clip.distance({"clip": east}, {"clip": north}) == 1
    assert clip.explain({"clip": east}, {"clip": -east}) == {"distance": 2}


def test_bfloat16_is_near_and_has_a_version_of_its_own(
    tiny: Path, clip: Clip, pictures: list[Picture]
) -> None:
    coarse = Clip(MODEL, str(tiny), precision="pure_bf16")
    cosines = (vectors(coarse, pictures) * vectors(clip, pictures)).sum(axis=1)
    assert cosines.min() > 0.999
    assert (coarse.version[-5:], clip.version[-5:]) == ("/bf16", "/fp32")


def test_auto_is_bfloat16_exactly_where_the_cpu_has_it(tiny: Path) -> None:
    import torch

    supported = torch.cpu._is_avx512_bf16_supported()
    assert has_avx512_bf16() == supported
    assert Clip(MODEL, str(tiny)).version.endswith("/bf16" if supported else "/fp32")


def test_threads_are_set(tiny: Path, pictures: list[Picture]) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        Clip(MODEL, str(tiny), threads=2).describe(pictures[:1])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_requests_that_arrive_together_load_one_model(
    tiny: Path, pictures: list[Picture], caplog: pytest.LogCaptureFixture
) -> None:
    fresh = Clip(MODEL, str(tiny), precision="fp32")
    caplog.set_level("INFO")
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: vectors(fresh, pictures[:1]), range(8)))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    assert sum("creation process complete" in line for line in caplog.messages) == 1


# --- Versions -----------------------------------------------------------------------------


def test_the_version_names_model_weights_and_precision(clip: Clip, tiny: Path) -> None:
    start, name, digest, precision = clip.version.split("/")
    assert (start, name, precision) == ("clip", "tiny", "fp32")
    assert len(digest) == 12 and int(digest, 16)
    assert Clip(MODEL, f"local-dir:{tiny}", precision="fp32").version == clip.version


def test_the_version_changes_with_weights_and_config_only(clip: Clip, tmp_path: Path) -> None:
    def version(seed: int, place: str) -> str:
        made = tiny_clip.make(tmp_path / place / "tiny", seed)
        return Clip(MODEL, str(made), precision="fp32").version

    assert version(0, "same") == clip.version
    assert version(1, "other") != clip.version
    config = tmp_path / "same" / "tiny" / clip_weights.CONFIG_NAME
    config.write_text(config.read_text().replace("shortest", "squash"))
    assert Clip(MODEL, str(config.parent), precision="fp32").version != clip.version


def test_a_loaded_model_keeps_its_version_when_the_file_is_replaced(
    tmp_path: Path, pictures: list[Picture]
) -> None:
    directory = tiny_clip.make(tmp_path / "tiny")
    running = Clip(MODEL, str(directory))
    before, version = vectors(running, pictures[:1]), running.version
    tiny_clip.make(directory, seed=1)
    restarted = Clip(MODEL, str(directory))
    np.testing.assert_array_equal(vectors(running, pictures[:1]), before)
    assert running.version == version != restarted.version
    assert not np.allclose(vectors(restarted, pictures[:1]), before)


# --- Not usable ---------------------------------------------------------------------------


def refusal(clip: Clip) -> str:
    """The sentence of ``unavailable``, after making sure that ``describe_text`` says the same."""
    why = clip.unavailable()
    assert why is not None
    with pytest.raises(Unavailable) as refused:
        clip.describe_text(["a cat"])
    assert refused.value.message == why
    return why


@pytest.mark.parametrize("pretrained", ["none", "NONE", ""])
def test_off(pretrained: str) -> None:
    assert "set CLIP_PRETRAINED" in refusal(Clip(MODEL, pretrained))


@pytest.mark.parametrize(
    "pretrained", ["/no/such/file.safetensors", "weights.bin", "local-dir:/no"]
)
def test_a_path_that_is_not_there(pretrained: str) -> None:
    path = pretrained.removeprefix("local-dir:")
    assert f"There is no {path} here" in refusal(Clip(MODEL, pretrained))


def test_an_unknown_model() -> None:
    assert "no model 'ViT-Z-1'" in refusal(Clip("ViT-Z-1", TAG))


def test_an_unknown_tag_is_answered_with_the_known_ones() -> None:
    why = refusal(Clip(MODEL, "no-such-tag"))
    assert "'no_such_tag'" in why and TAG in why


@pytest.mark.parametrize("missing", [clip_weights.CONFIG_NAME, tiny_clip.WEIGHTS_NAME])
def test_a_directory_without_weights_or_config(missing: str, tmp_path: Path) -> None:
    directory = tiny_clip.make(tmp_path / "tiny")
    (directory / missing).unlink()
    assert missing in refusal(Clip(MODEL, str(directory)))


def refused_once_tried(clip: Clip) -> str:
    """Files that look right are refused when the model is loaded, and from then on."""
    assert clip.unavailable() is None
    with pytest.raises(Unavailable, match="cannot be loaded"):
        clip.describe_text(["a cat"])
    return refusal(clip)


def test_truncated_weights(tmp_path: Path) -> None:
    directory = tiny_clip.make(tmp_path / "tiny")
    weights = directory / tiny_clip.WEIGHTS_NAME
    weights.write_bytes(weights.read_bytes()[:100_000])
    assert str(directory) in refused_once_tried(Clip(MODEL, str(directory)))


def test_weights_of_another_model_are_refused_not_replaced_by_random_ones(tiny: Path) -> None:
    why = refused_once_tried(Clip(MODEL, str(tiny / tiny_clip.WEIGHTS_NAME)))
    assert "set CLIP_MODEL and CLIP_PRETRAINED" in why


def test_a_config_that_is_no_json(tmp_path: Path) -> None:
    directory = tiny_clip.make(tmp_path / "tiny")
    (directory / clip_weights.CONFIG_NAME).write_text("{")
    refused_once_tried(Clip(MODEL, str(directory)))


def test_a_failure_is_remembered_then_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tiny_clip.make(tmp_path / "tiny")
    weights = directory / tiny_clip.WEIGHTS_NAME
    good = weights.read_bytes()
    weights.write_bytes(b"no weights")
    monkeypatch.setattr(base, "RETRY_SECONDS", 0.5)
    mended = Clip(MODEL, str(directory))
    refused_once_tried(mended)
    weights.write_bytes(good)
    assert "cannot be loaded" in refusal(mended)
    time.sleep(0.5)
    assert mended.unavailable() is None
    assert len(mended.describe_text(["a cat"])) == 1


def test_an_unknown_precision() -> None:
    with pytest.raises(ValueError, match="fp16"):
        Clip(MODEL, TAG, precision="fp16")


# --- Tags and the hub ---------------------------------------------------------------------


def test_the_default_repository_is_open_clips() -> None:
    import open_clip

    hub_path = open_clip.get_pretrained_cfg(MODEL, TAG)["hf_hub"]
    assert hub_path == f"{clip_weights.DEFAULT_REPOSITORY}/"


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as serves the files it is given, by name."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.wfile.write(self.answer())

    def answer(self) -> bytes:
        name = self.path.rpartition("/")[2]
        expected = f"/{clip_weights.DEFAULT_REPOSITORY}/resolve/"
        body = self.files.get(name) if self.path.startswith(expected) else None
        self.send_response(404 if body is None else 200)
        if body is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{name}"')
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        return body or b""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def hub_serving(**files: bytes) -> Iterator[str]:
    handler = type(
        "Handler", (Hub,), {"files": {k.replace("__", "."): v for k, v in files.items()}}
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


PREPARE = """
import json, sys, time
from gallery.imaging import descriptors
from gallery.imaging.descriptors import clip_weights
clip_weights.REACH_TIMEOUT = 1.0
descriptors.configure(clip_pretrained="datacomp-xl-s13b-b90k", clip_precision="fp32")
before = descriptors.why_unavailable("clip")
started = time.monotonic()
missing = descriptors.prepare()
took = time.monotonic() - started
after = descriptors.why_unavailable("clip")
version = None if after else descriptors.get("clip").version
print(json.dumps([before, missing, after, version, took, "torch" in sys.modules]))
"""


def prepare(cache: Path, endpoint: str, **environment: str) -> tuple[Any, ...]:
    """Run PREPARE as a new process whose hub is ``endpoint`` and whose cache is ``cache``."""
    env = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache)} | environment
    done = subprocess.run(
        [sys.executable, "-c", PREPARE],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout))


@pytest.mark.parametrize("name", ["open_clip_model__safetensors", "open_clip_pytorch_model__bin"])
def test_a_tag_is_downloaded_once_then_used_without_the_hub(name: str, tmp_path: Path) -> None:
    with hub_serving(**{name: b"weights"}) as endpoint:
        before, missing, after, version, _, torch_imported = prepare(tmp_path, endpoint)
    assert f"weights {TAG} of CLIP model {MODEL} are not on this machine" in before
    assert (missing, after, version) == ({}, None, f"clip/{MODEL}/{TAG}/fp32")
    assert not torch_imported
    before, missing, *_ = prepare(tmp_path, "http://127.0.0.1:9")
    assert (before, missing) == (None, {})


@pytest.mark.parametrize("environment", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_without_a_hub_the_sentence_comes_at_once(
    environment: dict[str, str], tmp_path: Path
) -> None:
    before, missing, after, _, took, torch_imported = prepare(
        tmp_path, "http://127.0.0.1:9", **environment
    )
    assert missing == {"clip": before} and after == before
    assert "set CLIP_PRETRAINED" in before
    assert took < 3
    assert not torch_imported


def test_a_hub_that_lacks_the_files(tmp_path: Path) -> None:
    with hub_serving() as endpoint:
        before, missing, *_ = prepare(tmp_path, endpoint)
    assert missing == {"clip": before}


def test_a_hub_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as silent:
        before, missing, _, _, took, _ = prepare(tmp_path, f"http://127.0.0.1:{silent.server_port}")
    assert missing == {"clip": before}
    assert took < 10

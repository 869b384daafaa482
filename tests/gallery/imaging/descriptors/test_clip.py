"""CLIP through the real library with a tiny model; the hub's side with a local HTTP server."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
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
from gallery.imaging.descriptors import base, clip_export, clip_model, clip_weights
from gallery.imaging.descriptors.clip import Clip
from gallery.shared.errors import Unavailable
from tests import tiny_clip

ROOT = Path(__file__).parents[4]
MODEL, TAG = clip_weights.DEFAULT
NOWHERE = Path("/no/such/models")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip.make(tmp_path_factory.mktemp("clip") / "tiny")


def prepared(models: Path, pretrained: Path, **options: Any) -> Clip:
    made = Clip(models, MODEL, str(pretrained), **options)
    made.prepare()
    return made


@pytest.fixture(scope="session")
def clip(models: Path, tiny: Path) -> Clip:
    return prepared(models, tiny)


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


@pytest.mark.slow
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
    assert len(pictures) > 2 * clip_model.BATCH
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


def test_more_threads_give_the_same_vectors(
    models: Path, tiny: Path, clip: Clip, pictures: list[Picture]
) -> None:
    two = prepared(models, tiny, threads=2)
    np.testing.assert_allclose(vectors(two, pictures), vectors(clip, pictures), atol=1e-6)


def test_each_network_is_loaded_with_its_first_use(
    models: Path, tiny: Path, pictures: list[Picture]
) -> None:
    fresh = prepared(models, tiny)
    fresh.describe_text(["a cat"])
    opened = fresh._lazy.loaded
    assert opened is not None and opened._words.loaded and not opened._pictures.loaded
    fresh.describe(pictures[:1])
    assert opened._pictures.loaded


def test_a_query_that_comes_again_is_remembered(
    models: Path, tiny: Path, pictures: list[Picture]
) -> None:
    fresh = prepared(models, tiny)
    for _ in range(3):
        fresh.describe_text(["a cat"])
        fresh.describe(pictures[:1])
    opened = fresh._lazy.loaded
    assert opened is not None
    for remembered in (opened._remembered_text, opened._remembered_picture):
        assert (remembered.cache_info().misses, remembered.cache_info().hits) == (1, 2)
    again = vectors(fresh, [picture(pictures[0].rgb)])
    assert opened._remembered_picture.cache_info().misses == 1
    np.testing.assert_array_equal(again, vectors(fresh, pictures[:1]))


SEARCHES = """
import json, sys, threading
import numpy as np
from gallery.imaging.descriptors.clip import Clip
from pathlib import Path
class Picture: rgb = np.zeros((30, 40, 3), np.uint8)
clip = Clip(Path(sys.argv[1]), "ViT-B-32", sys.argv[2])
clip.prepare()
found = [clip.describe([Picture])[0]["clip"], *clip.describe_text(["a cat"])]
heavy = {"torch", "torchvision", "open_clip", "timm", "onnx", "django"}
print(json.dumps([len(found), sorted(heavy & set(sys.modules))]))
"""


@pytest.mark.usefixtures("clip")
def test_preparing_and_describing_never_import_torch(models: Path, tiny: Path) -> None:
    command = [sys.executable, "-c", SEARCHES, str(models), str(tiny)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [2, []]


def test_requests_that_arrive_together_load_one_model(
    models: Path, tiny: Path, pictures: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = prepared(models, tiny)
    loads: list[Any] = []
    real = clip_model.model_files.session
    monkeypatch.setattr(
        clip_model.model_files,
        "session",
        lambda *args, **options: loads.append(args) or real(*args, **options),
    )
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: vectors(fresh, pictures[:1]), range(8)))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    assert len(loads) == 1


# --- Versions -----------------------------------------------------------------------------


def test_the_version_names_model_weights_and_precision(
    clip: Clip, models: Path, tiny: Path
) -> None:
    start, name, digest, precision = clip.version.split("/")
    assert (start, name, precision) == ("clip", "tiny", "fp32")
    assert len(digest) == 12 and int(digest, 16)
    assert Clip(models, MODEL, f"local-dir:{tiny}").version == clip.version


def test_the_version_changes_with_weights_and_config_only(clip: Clip, tmp_path: Path) -> None:
    def version(seed: int, place: str) -> str:
        made = tiny_clip.make(tmp_path / place / "tiny", seed)
        return Clip(tmp_path, MODEL, str(made)).version

    assert version(0, "same") == clip.version
    assert version(1, "other") != clip.version
    config = tmp_path / "same" / "tiny" / clip_weights.CONFIG_NAME
    config.write_text(config.read_text().replace("shortest", "squash"))
    assert Clip(tmp_path, MODEL, str(config.parent)).version != clip.version


@pytest.mark.slow
def test_a_loaded_model_keeps_its_version_when_the_file_is_replaced(
    models: Path, tmp_path: Path, pictures: list[Picture]
) -> None:
    directory = tiny_clip.make(tmp_path / "tiny")
    running = prepared(models, directory)
    before, version = vectors(running, pictures[:1]), running.version
    tiny_clip.make(directory, seed=1)
    restarted = prepared(models, directory)
    # The words' network, which is loaded only now, is that of the pictures' still.
    expected = Clip(models, MODEL, str(tiny_clip.make(tmp_path / "old" / "tiny")))
    np.testing.assert_array_equal(
        running.describe_text(["a cat"]), expected.describe_text(["a cat"])
    )
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
    assert "set CLIP_PRETRAINED" in refusal(Clip(NOWHERE, MODEL, pretrained))


@pytest.mark.parametrize(
    "pretrained", ["/no/such/file.safetensors", "weights.bin", "local-dir:/no"]
)
def test_a_path_that_is_not_there(pretrained: str) -> None:
    path = pretrained.removeprefix("local-dir:")
    assert f"There is no {path} here" in refusal(Clip(NOWHERE, MODEL, pretrained))


def test_an_unknown_model() -> None:
    assert "no model 'ViT-Z-1'" in refusal(Clip(NOWHERE, "ViT-Z-1", TAG))


def test_an_unknown_tag_is_answered_with_the_known_ones() -> None:
    why = refusal(Clip(NOWHERE, MODEL, "no-such-tag"))
    assert "'no_such_tag'" in why and TAG in why


def test_asking_for_a_tag_never_imports_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from gallery.imaging.descriptors.clip import Clip\n"
        "print(Clip(Path('/no'), 'ViT-B-32', 'laion2b_s34b_b79k').unavailable())\n"
        "print(sorted({'torch', 'open_clip'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"HF_HOME": "/no/such/cache"},
        capture_output=True,
        text=True,
        check=True,
    )
    why, imported = done.stdout.splitlines()
    assert "open_clip_model.safetensors of laion/CLIP-ViT-B-32-laion2B-s34B-b79K" in why
    assert imported == "[]"


@pytest.mark.parametrize("missing", [clip_weights.CONFIG_NAME, tiny_clip.WEIGHTS_NAME])
def test_a_directory_without_weights_or_config(missing: str, tmp_path: Path) -> None:
    directory = tiny_clip.make(tmp_path / "tiny")
    (directory / missing).unlink()
    assert missing in refusal(Clip(NOWHERE, MODEL, str(directory)))


def test_it_is_not_there_before_it_was_exported(tiny: Path, tmp_path: Path) -> None:
    fresh = Clip(tmp_path, MODEL, str(tiny))
    assert f"{tmp_path}/clip/tiny/" in refusal(fresh)
    assert "manage.py prepare_models" in refusal(fresh)


def test_a_failing_export_is_explained_and_leaves_nothing(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch for you')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    clip = Clip(tmp_path, MODEL, str(tiny))
    with pytest.raises(Unavailable, match=f"={tiny} cannot be made .*no torch") as failed:
        clip.prepare()
    assert "set CLIP_MODEL and CLIP_PRETRAINED" in failed.value.message
    assert "manage.py prepare_models" in refusal(clip)
    assert not [*tmp_path.glob("clip/**/*.onnx"), *tmp_path.glob("clip/**/.export-*")]


@pytest.fixture
def torch_as_it_was() -> Iterator[None]:
    import torch

    threads, fast = torch.get_num_threads(), torch.backends.mha.get_fastpath_enabled()
    yield
    torch.set_num_threads(threads)
    torch.backends.mha.set_fastpath_enabled(fast)


@pytest.fixture
def refused(torch_as_it_was: None, tmp_path: Path) -> Callable[[Path], str]:
    """What the program that exports says when it gives up a model, here in the process that has
    torch already."""

    def refused(pretrained: Path) -> str:
        identity = clip_weights.locate(MODEL, str(pretrained)).identity
        with pytest.raises(SystemExit) as ended:
            clip_export.main(tmp_path, MODEL, str(pretrained), identity)
        assert not (tmp_path / clip_model.FACTS).exists()
        return str(ended.value.code)

    return refused


@pytest.mark.slow
def test_weights_of_another_model_are_refused_not_replaced_by_random_ones(
    tiny: Path, refused: Callable[[Path], str]
) -> None:
    assert "text pos_embed width changed" in refused(tiny / tiny_clip.WEIGHTS_NAME)


def test_truncated_weights(tmp_path: Path, refused: Callable[[Path], str]) -> None:
    directory = tiny_clip.make(tmp_path / "tiny")
    weights = directory / tiny_clip.WEIGHTS_NAME
    weights.write_bytes(weights.read_bytes()[:100_000])
    assert refused(directory)


def test_a_config_that_is_no_json(tmp_path: Path, refused: Callable[[Path], str]) -> None:
    directory = tiny_clip.make(tmp_path / "tiny")
    (directory / clip_weights.CONFIG_NAME).write_text("{")
    assert refused(directory)


def configured(directory: Path, part: str, **values: Any) -> Path:
    """A tiny model whose config differs, with weights that fit."""
    made = tiny_clip.make(directory)
    config = made / clip_weights.CONFIG_NAME
    changed = json.loads(config.read_text())
    changed.setdefault(part, {}).update(values)
    config.write_text(json.dumps(changed))
    return made


def test_a_model_that_reads_words_otherwise_is_refused(
    tmp_path: Path, refused: Callable[[Path], str]
) -> None:
    text = {**tiny_clip.MODEL["text_cfg"], "tokenizer_kwargs": {"clean": "canonicalize"}}
    made = configured(tmp_path / "tiny", "model_cfg", text_cfg=text)
    assert "another vocabulary" in refused(made)


def test_a_model_with_a_tokenizer_of_another_package_is_refused(
    tmp_path: Path, refused: Callable[[Path], str]
) -> None:
    text = {**tiny_clip.MODEL["text_cfg"], "hf_tokenizer_name": "some/tokenizer"}
    made = configured(tmp_path / "tiny", "model_cfg", text_cfg=text)
    assert "transformers" in refused(made)


def test_pictures_that_are_prepared_in_an_unknown_way_are_refused(
    tmp_path: Path, refused: Callable[[Path], str]
) -> None:
    made = configured(tmp_path / "tiny", "preprocess_cfg", resize_mode="longest")
    assert "longest" in refused(made)


NETWORKS = (*clip_model.PICTURES, *clip_model.WORDS)


@pytest.fixture
def copied(clip: Clip, models: Path, tiny: Path, tmp_path: Path) -> Path:
    """The exported files, to be damaged."""
    folder = clip_model.folder_of(models, clip_weights.locate(MODEL, str(tiny)))
    copy = tmp_path / folder.relative_to(models)
    shutil.copytree(folder, copy)
    return copy


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_damaged_file_is_refused(
    name: str, copied: Path, tiny: Path, tmp_path: Path, pictures: list[Picture]
) -> None:
    assert clip_model.is_intact(copied)
    cut(copied / name)
    assert not clip_model.is_intact(copied)
    damaged = Clip(tmp_path, MODEL, str(tiny))
    with pytest.raises(Unavailable, match=r"is damaged.*prepare_models"):
        vectors(damaged, pictures[:1])
        damaged.describe_text(["a cat"])
    assert "is damaged" in str(damaged.unavailable())


@pytest.mark.slow
def test_damaged_files_are_written_again_by_one_of_two(
    clip: Clip, copied: Path, tiny: Path, tmp_path: Path, pictures: list[Picture]
) -> None:
    for name in NETWORKS:
        cut(copied / name)
    mended = [Clip(tmp_path, MODEL, str(tiny)) for _ in range(2)]
    with pytest.raises(Unavailable, match="is damaged"):
        vectors(mended[0], pictures[:1])
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(Clip.prepare, mended))
    names = {*NETWORKS, clip_model.FACTS, f"{clip_model.PICTURES[0]}.lock"}
    assert {path.name for path in copied.iterdir()} == names
    for again in mended:
        assert again.unavailable() is None
        np.testing.assert_array_equal(vectors(again, pictures[:1]), vectors(clip, pictures[:1]))
        again.describe_text(["a cat"])


def test_another_network_is_refused_though_its_digest_fits(
    copied: Path, tiny: Path, tmp_path: Path, pictures: list[Picture]
) -> None:
    weights = copied / clip_model.PICTURES[1]
    data = bytearray(weights.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    weights.write_bytes(data)
    facts = json.loads((copied / clip_model.FACTS).read_text())
    facts["sha256"][weights.name] = hashlib.sha256(data).hexdigest()
    (copied / clip_model.FACTS).write_text(json.dumps(facts))
    with pytest.raises(Unavailable, match="does not give the vectors"):
        vectors(Clip(tmp_path, MODEL, str(tiny)), pictures[:1])


def test_a_failure_is_remembered_then_tried_again(
    copied: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = copied / clip_model.WORDS[0]
    good = words.read_bytes()
    words.write_bytes(b"no network")
    monkeypatch.setattr(base, "RETRY_SECONDS", 0.5)
    mended = Clip(tmp_path, MODEL, str(tiny))
    with pytest.raises(Unavailable, match="is damaged"):
        mended.describe_text(["a cat"])
    words.write_bytes(good)
    assert "is damaged" in refusal(mended)
    time.sleep(0.5)
    assert mended.unavailable() is None
    assert len(mended.describe_text(["a cat"])) == 1


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
from pathlib import Path
from gallery.imaging import descriptors
from gallery.imaging.descriptors import clip_model, clip_weights
clip_weights.REACH_TIMEOUT = 1.0
clip_model.EXPORT_SECONDS = 0.1
descriptors.configure(models=Path(sys.argv[1]), clip_pretrained="datacomp-xl-s13b-b90k")
before = descriptors.why_unavailable("clip")
started = time.monotonic()
missing = descriptors.prepare(["clip"])
took = time.monotonic() - started
after = descriptors.why_unavailable("clip")
try:
    version = descriptors._find("clip").version
except descriptors.Unavailable:
    version = None
print(json.dumps([before, missing, after, version, took, "torch" in sys.modules]))
"""


def prepare(cache: Path, endpoint: str, **environment: str) -> tuple[Any, ...]:
    """Run PREPARE as a new process whose hub is ``endpoint`` and whose cache is ``cache``."""
    env = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache)} | environment
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, str(cache)],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["open_clip_model__safetensors", "open_clip_pytorch_model__bin"])
def test_a_tag_is_downloaded_once_then_used_without_the_hub(name: str, tmp_path: Path) -> None:
    with hub_serving(**{name: b"weights"}) as endpoint:
        before, missing, after, version, _, torch_imported = prepare(tmp_path, endpoint)
    assert f"weights {TAG} of CLIP model {MODEL} are not on this machine" in before
    assert version == f"clip/{MODEL}/{TAG}/fp32"
    # The export of what was downloaded begins, and is given up at once.
    assert list(missing) == ["clip"] and "was not made within" in missing["clip"]
    assert f"{tmp_path}/clip/{MODEL}/{TAG}/" in after and "manage.py prepare_models" in after
    assert not torch_imported
    before, again, *_ = prepare(tmp_path, "http://127.0.0.1:9")
    assert (before, again) == (after, missing)


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_hub_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as silent:
        before, missing, _, _, took, _ = prepare(tmp_path, f"http://127.0.0.1:{silent.server_port}")
    assert missing == {"clip": before}
    assert took < 10

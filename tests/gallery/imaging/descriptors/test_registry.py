"""The registry: what is there, in which order, why not, and that nothing is imported early."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gallery.imaging import descriptors
from gallery.imaging.descriptors.base import PIXELS_VERSION
from gallery.shared.errors import Unavailable, UserError
from tests import tiny_clip
from tests.environment import DATA_DIR

ROOT = Path(__file__).parents[4]
MODELS = DATA_DIR / "models"


@pytest.fixture(autouse=True)
def _configured_as_before() -> Iterator[None]:
    before = dict(descriptors._options["clip"])
    descriptors.configure(models=MODELS)
    yield
    models = before.pop("directory")
    descriptors.configure(
        models=models, **{f"clip_{name}": value for name, value in before.items()}
    )


def test_without_models_pixels_work(tmp_path: Path) -> None:
    descriptors.configure(models=tmp_path)
    assert descriptors.available_names() == ["imgsmlr", "pdq"]
    assert "manage.py prepare_models" in str(descriptors.why_unavailable("copy"))
    with pytest.raises(Unavailable, match="prepare_models"):
        descriptors.get_copy()


def test_without_settings_clip_is_off() -> None:
    assert descriptors.available_names() == ["imgsmlr", "pdq", "copy"]
    assert descriptors.why_unavailable("imgsmlr") is descriptors.why_unavailable("pdq") is None
    assert not descriptors.available("clip")
    assert "CLIP_PRETRAINED" in str(descriptors.why_unavailable("clip"))


def test_pixel_descriptors_need_nothing() -> None:
    assert set(descriptors.prepare()) == {"clip"}


def test_each_name_is_its_class_made_once() -> None:
    for name in descriptors.PIXELS:
        assert descriptors.get(name).name == name
    with ThreadPoolExecutor(8) as pool:
        found = set(map(id, pool.map(descriptors.get, ["pdq"] * 50)))
    assert len(found) == 1


def test_clip_with_weights_comes_last(tmp_path: Path) -> None:
    made = tiny_clip.make(tmp_path / "tiny")
    descriptors.configure(models=MODELS, clip_pretrained=str(made))
    assert descriptors.prepare() == {}
    assert descriptors.available_names() == ["imgsmlr", "pdq", "copy", "clip"]
    clip = descriptors.get("clip")
    assert clip.version.startswith("clip/tiny/") and clip.version.endswith("/fp32")
    assert clip.version != PIXELS_VERSION


def test_configuring_again_takes_effect(tmp_path: Path) -> None:
    made = tiny_clip.make(tmp_path / "tiny")
    descriptors.configure(models=MODELS, clip_pretrained=str(made))
    descriptors.prepare(["clip"])
    assert descriptors.available("clip")
    descriptors.configure()
    assert not descriptors.available("clip")


def test_get_says_why_clip_is_not_there() -> None:
    with pytest.raises(Unavailable) as refused:
        descriptors.get("clip")
    assert refused.value.message == descriptors.why_unavailable("clip")
    assert refused.value.field == "match_type"


def test_vectors_of_bfloat16_wait_for_others(tmp_path: Path) -> None:
    """torch made them; ONNX Runtime does not, and near is not equal."""
    made = tiny_clip.make(tmp_path / "tiny")
    descriptors.configure(models=MODELS, clip_pretrained=str(made))
    descriptors.prepare(["clip"])
    version = descriptors.get("clip").version
    assert descriptors.get_clip(version, "ViT-B-32", str(made)) is descriptors.get("clip")
    with pytest.raises(Unavailable, match=r"/bf16, which cannot be .*describe_missing"):
        descriptors.get_clip(version.replace("/fp32", "/bf16"), "ViT-B-32", str(made))


@pytest.mark.parametrize("name", ["", "CLIP", "gallery.imaging.descriptors.pdq", "nope\x00"])
def test_an_unknown_match_type_is_answered_with_the_known_ones(name: str) -> None:
    for ask in (descriptors.get, descriptors.why_unavailable):
        with pytest.raises(UserError, match="use one of imgsmlr, pdq, copy, clip") as refused:
            ask(name)
        assert refused.value.field == "match_type"


IMPORTS = """
import json, sys
from gallery.imaging import descriptors
def heavy():
    return sorted({"cv2", "torch", "open_clip", "pdqhash", "huggingface_hub"} & set(sys.modules))
seen = [heavy()]
descriptors.configure(clip_pretrained="none")
descriptors.get("pdq")
seen.append(heavy())
descriptors.why_unavailable("clip")
descriptors.configure(clip_pretrained="datacomp_xl_s13b_b90k")
descriptors.why_unavailable("clip")
descriptors.available_names()
seen.append("torch" in sys.modules)
print(json.dumps(seen))
"""


def test_nothing_is_imported_before_it_is_used_and_torch_never_to_say_why_not() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], ["cv2"], False]

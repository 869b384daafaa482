"""A tiny open_clip model with random weights, made once: it proves plumbing, no accuracy."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.db import connection

from gallery.imaging.descriptors.clip_weights import CONFIG_NAME
from tests.environment import DATA_DIR
from tests.kept_results import kept_file

DIMENSIONS = 32
WEIGHTS_NAME = "open_clip_model.safetensors"

MODEL: dict[str, Any] = {
    "embed_dim": DIMENSIONS,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 16,
        "heads": 2,
        "layers": 1,
    },
}
PREPROCESS: dict[str, Any] = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def make(directory: Path, seed: int = 0) -> Path:
    """Write the config and about 4 MB of weights into ``directory``, and answer it."""
    directory.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    (directory / CONFIG_NAME).write_text(json.dumps(config))
    libraries = "-".join(version(name) for name in ("open_clip_torch", "torch", "safetensors"))
    kept = DATA_DIR / "results" / f"tiny-clip-{libraries}-{seed}"
    (directory / WEIGHTS_NAME).write_bytes(kept_file(kept, lambda: _random_weights(seed)))
    return directory


def _random_weights(seed: int) -> bytes:
    import open_clip
    import torch
    from safetensors.torch import save

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return save(open_clip.CLIP(**MODEL).state_dict())


def drop_indexes() -> None:
    """Drop the indexes of models. They outlive the rows that a transactional test leaves."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'imagefinger%_clip_%'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX {name}")

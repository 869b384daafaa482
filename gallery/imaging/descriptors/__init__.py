"""The descriptors of pictures, by match type; each is imported on first use.

Call ``configure`` once with the settings, before the first use in a process. Only ``describe``
loads models: a process may call everything else before it forks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gallery.imaging.descriptors.base import Descriptor
from gallery.shared.errors import Unavailable, UserError

if TYPE_CHECKING:
    from gallery.imaging.descriptors.copy import Copy

REGISTRY = {
    "imgsmlr": "gallery.imaging.descriptors.haar.Haar",
    "pdq": "gallery.imaging.descriptors.pdq.Pdq",
    "copy": "gallery.imaging.descriptors.copy.Copy",
    "clip": "gallery.imaging.descriptors.clip.Clip",
}
"""Match type → class, in the order in which pictures are described."""

PIXELS = ("imgsmlr", "pdq")
"""Match types that need no model. They describe pictures before these are published."""

MODELS = ("copy", "clip")
"""Match types that need a model. They describe pictures after these are published."""

_lock = threading.Lock()
_options: dict[str, dict[str, Any]] = {}
_made: dict[str, Descriptor] = {}


class UnknownMatchType(UserError):
    """The message lists the known match types."""

    code = "unknown_match_type"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"Unknown match type {name!r}: use one of {', '.join(known)}.", field="match_type"
        )


def configure(
    *,
    models: Path = Path("var/models"),
    clip_model: str = "ViT-B-32",
    clip_pretrained: str = "none",
    clip_threads: int = 1,
) -> None:
    """Set the options of descriptors (see ``clip.Clip``). Unloads all models.

    ``models``: the directory of models that are made on this machine.
    """
    with _lock:
        _made.clear()
        _options["copy"] = {"directory": models}
        _options["clip"] = {
            "directory": models,
            "model": clip_model,
            "pretrained": clip_pretrained,
            "threads": clip_threads,
        }


def get(name: str) -> Descriptor:
    """Return the descriptor of a match type. Raises ``UnknownMatchType``, ``Unavailable``."""
    descriptor = _find(name)
    if why := descriptor.unavailable():
        raise Unavailable(why, field="match_type")
    return descriptor


def get_copy() -> Copy:
    """Return the descriptor of ``copy``, which also describes queries. Raises ``Unavailable``."""
    return cast("Copy", get("copy"))


def get_clip(version: str, model: str, pretrained: str) -> Descriptor:
    """Return the CLIP model that made the vectors of ``version``, the configured one or another.

    It stays loaded beside the configured one. Raises ``Unavailable`` if its weights are missing or
    have changed, or if no model makes such vectors any more: bfloat16 was torch's.
    """
    configured = _find("clip")
    if configured.unavailable() is None and configured.version == version:
        return configured
    clip = import_module("gallery.imaging.descriptors.clip")
    with _lock:
        if version not in _made:
            options = {**_options["clip"], "model": model, "pretrained": pretrained}
            _made[version] = clip.Clip(**options)
        other = _made[version]
    if other.unavailable() is None and other.version == version:
        return other
    raise Unavailable(
        f"The stored CLIP vectors are of {version}, which cannot be computed here: put its weights "
        "back, or run `manage.py describe_missing` to change to the configured model.",
        field="match_type",
    )


def why_unavailable(name: str) -> str | None:
    """Return a sentence that says why a match type cannot be used here; None if it can."""
    return _find(name).unavailable()


def available(name: str) -> bool:
    """Return whether a match type can be used here. Cheap: looks at files, loads no model."""
    return why_unavailable(name) is None


def available_names() -> list[str]:
    """Return the match types that can be used here, in the order of ``REGISTRY``."""
    return [name for name in REGISTRY if available(name)]


def prepare(names: Iterable[str] = MODELS) -> dict[str, str]:
    """Download or make models, before workers start. Returns name → why it is missing.

    The first time ``copy`` takes seconds, and ``clip`` a minute beside its download; later both
    take less than a second.
    """
    missing = {}
    for name in names:
        try:
            _find(name).prepare()
        except Unavailable as error:
            missing[name] = error.message
    return missing


def _find(name: str) -> Descriptor:
    if name not in REGISTRY:
        raise UnknownMatchType(name, REGISTRY)
    with _lock:
        if name not in _made:
            module, _, class_name = REGISTRY[name].rpartition(".")
            _made[name] = getattr(import_module(module), class_name)(**_options.get(name, {}))
        return _made[name]


configure()

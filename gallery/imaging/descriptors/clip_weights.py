"""Finds CLIP's weights on this machine. Imports no torch, so that any process may use it."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import huggingface_hub as hub
from huggingface_hub.errors import EntryNotFoundError

from gallery.shared.errors import Unavailable

DEFAULT = ("ViT-B-32", "datacomp_xl_s13b_b90k")
DEFAULT_REPOSITORY = "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K"
"""Stated here because asking open_clip takes half a second."""

CONFIG_NAME = "open_clip_config.json"
REACH_TIMEOUT = 5.0
"""Seconds to wait for the hub's first response; its own client would try for 23 s per file name."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weights:
    """A model whose files are all on this machine.

    ``architecture`` is open_clip's model name, or ``local-dir:…`` of a directory that has its
    own config; ``file`` is the weights file where the architecture does not imply it; ``tag``
    is set if open_clip knows how pictures are prepared for these weights.
    """

    architecture: str
    name: str
    files: tuple[Path, ...]
    file: Path | None = None
    tag: str | None = None

    @property
    def identity(self) -> str:
        """The tag, or 12 digits of the files' SHA-256 if there is no tag."""
        return f"{self.name}/{self.tag or _digest(self.files)}"


class _NotDownloaded(Unavailable):
    def __init__(self, model: str, tag: str, repository: str, file_names: Sequence[str]) -> None:
        super().__init__(
            f"The weights {tag} of CLIP model {model} are not on this machine. Start the workers "
            f"once with access to {hub.constants.ENDPOINT}; or copy {CONFIG_NAME} and "
            f"{file_names[0]} of {repository} into a directory and set CLIP_PRETRAINED to it; or "
            "set it to none to switch CLIP off."
        )
        self.repository = repository
        self.file_names = file_names


def locate(model: str, pretrained: str) -> Weights:
    """Find the weights that the settings name. Reads files only, uses no network.

    ``pretrained``: a tag of open_clip, a weights file, a directory with
    ``open_clip_config.json`` and weights (``model`` is then ignored; ``local-dir:`` may precede
    it), or ``none``. Raises ``Unavailable`` with a sentence that says what to set.
    """
    if pretrained.lower() in ("", "none"):
        raise Unavailable(
            "CLIP is switched off: set CLIP_PRETRAINED to a tag, a weights file or a directory."
        )
    path = Path(pretrained.removeprefix("local-dir:")).expanduser()
    if path.is_dir():
        return _in_directory(path)
    if not (_model_configs() / f"{model}.json").is_file():
        raise Unavailable(f"open_clip has no model {model!r}: set CLIP_MODEL to one it has.")
    if path.is_file():
        return Weights(model, model, (path,), file=path)
    if pretrained != path.name or path.suffix:
        raise Unavailable(
            f"There is no {path} here: set CLIP_PRETRAINED to an existing weights file or "
            "directory, or to none to switch CLIP off."
        )
    return _by_tag(model, pretrained)


def download(model: str, pretrained: str) -> None:
    """Download the weights of a tag that is not on this machine yet.

    Raises ``Unavailable``, within seconds if the hub cannot be reached.
    """
    try:
        locate(model, pretrained)
    except _NotDownloaded as missing:
        for file_name in missing.file_names:
            try:
                url = hub.hf_hub_url(missing.repository, file_name)
                hub.get_hf_file_metadata(url, timeout=REACH_TIMEOUT)
                hub.hf_hub_download(missing.repository, file_name)
            except EntryNotFoundError:
                continue
            except Exception as error:
                # Many kinds: no network, no DNS, offline mode, refused, disk full.
                logger.warning("cannot download %s: %s", missing.repository, error)
                break
            return
        raise


def _in_directory(path: Path) -> Weights:
    config = path / CONFIG_NAME
    weights = sorted(
        file for file in path.glob("*") if file.suffix in (".safetensors", ".bin", ".pth")
    )
    if not config.is_file() or not weights:
        raise Unavailable(
            f"{path} is no CLIP model: CLIP_PRETRAINED must name a directory with {CONFIG_NAME} "
            "and open_clip_model.safetensors."
        )
    # The config is part of the identity: it says how pictures are prepared.
    return Weights(f"local-dir:{path}", path.resolve().name[:64], (config, *weights))


def _by_tag(model: str, pretrained: str) -> Weights:
    tag = pretrained.lower().replace("-", "_")
    repository, *file_names = _hub_files(model, tag)
    for file_name in file_names:
        found = hub.try_to_load_from_cache(repository, file_name)
        if isinstance(found, str):
            return Weights(model, model, (Path(found),), file=Path(found), tag=tag)
    raise _NotDownloaded(model, tag, repository, file_names)


def _hub_files(model: str, tag: str) -> tuple[str, ...]:
    """Return the hub's repository of a tag, then possible names of its file, best first."""
    hub_path = f"{DEFAULT_REPOSITORY}/"
    if (model, tag) != DEFAULT:
        hub_path, tags = _ask_open_clip(model, tag)
        if not hub_path:
            raise Unavailable(
                f"open_clip knows no weights {tag!r} of {model}: set CLIP_PRETRAINED to a "
                f"weights file, a directory or a tag ({', '.join(tags) or 'none'})."
            )
    repository, _, file_name = hub_path.rpartition("/")
    if not file_name:
        return repository, "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
    return repository, str(Path(file_name).with_suffix(".safetensors")), file_name


_QUESTION = """
import json, sys, types
package = types.ModuleType("open_clip")
package.__path__ = [sys.argv[3]]
sys.modules |= {"open_clip": package, "safetensors.torch": None}
from open_clip import pretrained
model, tag = sys.argv[1:3]
found = pretrained.get_pretrained_cfg(model, tag).get("hf_hub", "")
print(json.dumps([found, pretrained.list_pretrained_tags_by_model(model)]))
"""
"""Reads the module that lists the weights without its package, which would import torch."""


@cache
def _ask_open_clip(model: str, tag: str) -> tuple[str, Sequence[str]]:
    """Return a tag's path on the hub, "" if there is none, and all tags of the model.

    Takes half a second, once in a process; a separate program imports the module.
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _QUESTION, model, tag, str(_package())],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise Unavailable(f"open_clip cannot be asked for {model} ({last[:200]}).")
    path, tags = json.loads(done.stdout.splitlines()[-1])
    return path, tags


def merges() -> Path:
    """Return open_clip's file of the pairs of characters that form words."""
    return _package() / "bpe_simple_vocab_16e6.txt.gz"


def _model_configs() -> Path:
    return _package() / "model_configs"


@cache
def _package() -> Path:
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise Unavailable(
            "Match type clip needs the package open_clip_torch: install requirements.txt."
        )
    return Path(spec.origin).parent


def _digest(files: Sequence[Path]) -> str:
    states = ((file, file.stat()) for file in files)
    return _digest_of_state(tuple((file, at.st_size, at.st_mtime_ns) for file, at in states))


@cache
def _digest_of_state(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Cached by size and time of change, because reading half a gigabyte takes a second."""
    digest = hashlib.sha256()
    for path, _, _ in files:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]

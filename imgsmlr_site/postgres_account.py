"""The operating system's user as whom the embedded PostgreSQL runs.

PostgreSQL refuses to run as root. An ordinary user runs it as himself; root runs it as the
owner of ``DATA_DIR/pg``, else as ``postgres``, else as ``imgsmlr``, an account made for it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

from gallery.shared.errors import UserError


class PostgresError(UserError):
    """The embedded PostgreSQL cannot start; the message says what to do about it."""

    code = "postgres"


def server_user_name(data_dir: Path) -> str:
    """The operating system's user who runs PostgreSQL for ``data_dir``."""
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
    """The account of ``server_user_name``, made if it is missing."""
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
    """Arguments of ``subprocess.Popen`` that run a program as ``account``."""
    # PGDATA, PGPORT, PGOPTIONS and the like would change what the programs do.
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
    """The first of ``directory`` and its ancestors that ``account`` cannot enter; "" if none."""
    path = [str(part) for part in (*reversed(directory.parents), directory)]
    # Asked as that user, because modes alone do not tell: there are access control lists.
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
    """Raise PostgresError if ``account`` cannot enter ``directory`` or one of its ancestors."""
    if closed := closed_directory(account, directory):
        raise PostgresError(
            f"PostgreSQL runs as user {account.pw_name!r}, who cannot enter {closed}: "
            f"move {'DATA_DIR' if directory.name != 'bin' else 'the installation'} elsewhere, "
            "allow that user to enter it, or start imgsmlr-server as an ordinary user."
        )


def can_run(account: pwd.struct_passwd, binaries: Path) -> bool:
    """Whether ``account`` can execute PostgreSQL's programs and read what they need."""
    script = '"$1/postgres" -V && "$1/initdb" -V && test -x "$1/../share" && test -r "$1/../share"'
    done = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", script, "sh", str(binaries)],
        **as_account(account),
        cwd="/",
        capture_output=True,
    )
    return done.returncode == 0

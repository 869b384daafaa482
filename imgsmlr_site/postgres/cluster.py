"""The cluster of the embedded PostgreSQL: its place, its files, and leftover processes.

It is ``DATA_DIR/pg``. If root starts it and PostgreSQL's user cannot enter that directory, the
cluster gets a directory below ``STATE_ROOT``, and ``DATA_DIR/pg`` is a link to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from imgsmlr_site.parent_death import signal_when_parent_dies
from imgsmlr_site.postgres import programs
from imgsmlr_site.postgres.programs import (
    PostgresError,
    Say,
    as_account,
    closed_directory,
    give_to,
    require_access,
)

OWNER_FILE = "data_dir"
"""A file beside a cluster below ``STATE_ROOT``: the path of the ``DATA_DIR`` that it belongs to."""
ROLE = "imgsmlr"
PORT = 5432
"""Part of the socket's file name; no TCP port is opened."""
ASK_WAIT = 10.0
"""Seconds a server may take to stop in order. It writes its memory to disk first."""
INSIST_WAIT = 7.0
"""The same for stopping at once. It kills what has not ended after five seconds."""
KILL_WAIT = 5.0
"""Seconds until killed processes must be gone."""


def cluster_of(data_dir: Path) -> Path:
    """Return the cluster of ``data_dir``, or its future path. Raise PostgresError if it is lost."""
    link = data_dir / "pg"
    cluster = link.resolve()
    if link.is_symlink() and not cluster.exists():
        raise PostgresError(
            f"{link} leads to {cluster}, which does not exist: bring that database back, "
            f"or remove {link} to begin with an empty one."
        )
    return cluster


def place_for_new_cluster(data_dir: Path, account: pwd.struct_passwd, say: Say) -> Path:
    """Return where to create the cluster of ``data_dir``: below ``STATE_ROOT`` if necessary."""
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
    place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=programs.state_root()))
    place.chmod(0o755)
    return place / "pg"


def link_cluster(data_dir: Path, cluster: Path, say: Say) -> None:
    """Link ``data_dir`` to its cluster elsewhere, and record ``data_dir`` there."""
    link = data_dir / "pg"
    if cluster == link:
        return
    (cluster.parent / OWNER_FILE).write_text(str(data_dir))
    link.symlink_to(cluster)
    say(f"The database of {data_dir} is in {cluster}.")


def claim_cluster(data_dir: Path, cluster: Path, account: pwd.struct_passwd, say: Say) -> None:
    """Raise PostgresError if the cluster belongs to another DATA_DIR or cannot be entered."""
    link = data_dir / "pg"
    closed = closed_directory(account, cluster.parent)
    if closed and os.geteuid() == 0:
        place = programs.STATE_ROOT / "moved"
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
    place = (data_dir / "pg").resolve().parent
    owner = place / OWNER_FILE
    if owner.exists() and owner.read_text() == str(data_dir):
        shutil.rmtree(place)


def _clusters_that_name(data_dir: Path) -> list[Path]:
    owners = programs.STATE_ROOT.glob(f"*/{OWNER_FILE}")
    return [
        owner.with_name("pg")
        for owner in sorted(owners)
        if owner.read_text() == str(data_dir) and owner.with_name("pg").exists()
    ]


def lock_data_dir(data_dir: Path, account: pwd.struct_passwd) -> int:
    """Lock ``data_dir`` for one starter, until the returned descriptor is closed."""
    path = data_dir / "postgres.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 20).decode() or "of another starter"
        os.close(lock)
        raise PostgresError(
            f"PostgreSQL in {data_dir} is already run by process {holder}: "
            "stop that one first, or set DATA_DIR to another directory."
        ) from None
    give_to(account, path)
    os.truncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def create_cluster(cluster: Path, binaries: Path, account: pwd.struct_passwd) -> None:
    """Create the cluster under another name first, because a start may be killed at any moment."""
    draft = cluster.with_name("pg.new")
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    give_to(account, draft)
    command = [str(binaries / "initdb"), "-D", str(draft), f"--username={ROLE}"]
    command += ["--encoding=UTF8", "--locale=C", "--auth=peer"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    done = subprocess.run(  # noqa: S603
        command,
        **as_account(account),
        cwd=draft,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=signal_when_parent_dies(signal.SIGTERM),
    )
    if done.returncode:
        raise PostgresError(f"initdb could not make {draft}: {done.stdout.strip()[-2000:]}")
    draft.rename(cluster)


def write_access_rules(cluster: Path, account: pwd.struct_passwd) -> None:
    """Allow only these operating system users to connect."""
    allowed = "".join(f'imgsmlr "{user}" {ROLE}\n' for user in sorted({account.pw_name, "root"}))
    # "all" leaves out replication: a standby, and pg_basebackup.
    who = "".join(f"local {what} all peer map=imgsmlr\n" for what in ("all", "replication"))
    rules = {"pg_hba.conf": who, "pg_ident.conf": allowed}
    for name, text in rules.items():
        path = cluster / name
        path.write_text(text)
        give_to(account, path)


def prepare_directory(directory: Path, account: pwd.struct_passwd) -> None:
    """Create the socket's directory. Refuse one that another user created under that name."""
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
        give_to(account, directory)
    found = directory.lstat()
    if found.st_uid != account.pw_uid or found.st_mode & 0o170077 != 0o040000:
        raise PostgresError(
            f"{directory} should be a directory that belongs to {account.pw_name} alone: "
            "remove it, or set DATA_DIR to a shorter path."
        )


def remove_stale_socket(directory: Path) -> None:
    """Remove the socket of a killed server. Raise PostgresError if a live server listens there."""
    path = directory / f".s.PGSQL.{PORT}"
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
            return
    raise PostgresError(
        f"Another server already listens on {path}: stop it, or set DATA_DIR to another directory."
    )


def cluster_processes(cluster: Path) -> set[int]:
    """Return the ids of the live PostgreSQL processes, main and others, that work in ``cluster``.

    postmaster.pid is not enough: another process may have its number by now, and sessions of a
    killed server live on while they compute.
    """
    cluster = cluster.resolve()
    numbers = {int(process.name) for process in Path("/proc").glob("[0-9]*")}
    return {pid for pid in numbers if _works_in(cluster, pid)}


def _works_in(cluster: Path, pid: int) -> bool:
    process = Path("/proc") / str(pid)
    # It has ended, is a zombie (no cwd), or belongs to another user and so cannot be ours.
    with contextlib.suppress(OSError):
        comm = (process / "comm").read_text().strip()
        return comm == "postgres" and (process / "cwd").readlink() == cluster
    return False


def main_process(cluster: Path) -> int:
    """Return the number that postmaster.pid names; 0 if there is none."""
    try:
        return int((cluster / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return 0


def end_server(cluster: Path, main: int) -> None:
    """End the processes of ``cluster``; ``main`` is the main one. Raise PostgresError.

    The main process is asked to stop the others and to write its memory to disk (SIGINT), then to
    stop at once (SIGQUIT). What is left, or has no main process any more, is killed. The data is
    safe each time: the next start recovers what was committed.
    """
    for signum, seconds in ((signal.SIGINT, ASK_WAIT), (signal.SIGQUIT, INSIST_WAIT)):
        deadline = time.monotonic() + seconds
        if main in cluster_processes(cluster):
            _send(cluster, main, signum)
        while main in cluster_processes(cluster) and time.monotonic() < deadline:
            time.sleep(0.02)
    deadline = time.monotonic() + KILL_WAIT
    while running := cluster_processes(cluster):
        for pid in running:
            _send(cluster, pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise PostgresError(
                f"An earlier PostgreSQL in {cluster} was killed and does not end (processes "
                f"{', '.join(map(str, sorted(running)))}): its disk does not answer."
            )
        time.sleep(0.02)


def _send(cluster: Path, pid: int, signum: int) -> None:
    """Signal a process of ``cluster``; never a stranger that has got its number since."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if _works_in(cluster, pid):
                signal.pidfd_send_signal(handle, signum)
        finally:
            os.close(handle)

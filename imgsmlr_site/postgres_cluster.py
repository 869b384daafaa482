"""The files of the embedded PostgreSQL: lock, cluster, access rules, socket, leftovers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from imgsmlr_site.parent_death import signal_when_parent_dies
from imgsmlr_site.postgres_account import PostgresError, as_account, give_to

ROLE = "imgsmlr"
PORT = 5432
"""Names the socket file; no TCP port is opened."""
ORPHAN_WAIT = 60.0
"""Seconds an earlier server may take to stop: it writes its memory to disk first."""


def lock_data_dir(data_dir: Path, account: pwd.struct_passwd) -> int:
    """The lock of the one starter of ``data_dir``, held until the descriptor is closed."""
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
    """Make the cluster under another name first: a start may be killed at any moment."""
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
    """Let in the users named, as the kernel knows them, and nobody else."""
    allowed = "".join(f'imgsmlr "{user}" {ROLE}\n' for user in sorted({account.pw_name, "root"}))
    rules = {"pg_hba.conf": "local all all peer map=imgsmlr\n", "pg_ident.conf": allowed}
    for name, text in rules.items():
        path = cluster / name
        path.write_text(text)
        give_to(account, path)


def prepare_directory(directory: Path, account: pwd.struct_passwd) -> None:
    """Make the directory of the socket; refuse one that somebody else made at that name."""
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
    """Remove what a killed server left; raise PostgresError if a live one listens there."""
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
    """The live PostgreSQL processes, main and others, that work in ``cluster``.

    postmaster.pid alone does not tell: its number may belong to a stranger by now, and the
    sessions of a killed server outlive it while they compute.
    """
    found = set()
    cluster = cluster.resolve()
    for process in Path("/proc").glob("[0-9]*"):
        # Gone meanwhile, a zombie (no cwd), or another user's, which cannot be ours.
        with contextlib.suppress(OSError):
            comm = (process / "comm").read_text().strip()
            if comm == "postgres" and (process / "cwd").readlink() == cluster:
                found.add(int(process.name))
    return found


def stop_orphans(cluster: Path) -> None:
    """Stop the server that a killed starter left in ``cluster``, or what remains of it."""
    try:
        main = int((cluster / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        main = 0
    deadline = time.monotonic() + ORPHAN_WAIT
    asked: set[int] = set()
    while running := cluster_processes(cluster):
        # While the main process lives it stops the others in order.
        for pid in ({main} & running or running) - asked:
            asked.add(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT if pid == main else signal.SIGTERM)
        if time.monotonic() > deadline:
            raise PostgresError(
                f"An earlier PostgreSQL in {cluster} does not stop (processes "
                f"{', '.join(map(str, sorted(running)))}): end it, then start again."
            )
        time.sleep(0.02)

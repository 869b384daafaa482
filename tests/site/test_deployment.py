"""What deploys the service is linted by the tools people would use, as no engine runs here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

ROOT: Path = settings.BASE_DIR
ONE_HOST = ROOT / "docker-compose.yml"
SECRETS = {"POSTGRES_PASSWORD": "p", "SECRET_KEY": "s"}


def compose_config(
    directory: Path,
    settings_file: str = "",
    *files: Path,
    **env: str,
) -> subprocess.CompletedProcess[str]:
    """docker-compose's own reading of files. ``settings_file``: the content of ``.env``."""
    command = shutil.which("docker-compose")
    if command is None:
        if os.environ.get("CI"):
            pytest.fail("docker-compose is missing; tests/install_system.sh installs it")
        pytest.skip("docker-compose is not installed")
    settings_of = directory / "env"
    settings_of.write_text(settings_file)
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **env}
    named = [word for file in files or [ONE_HOST] for word in ("--file", str(file))]
    return subprocess.run(
        [command, "--env-file", str(settings_of), *named, "config"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
    )


def test_dockerfile_has_no_findings() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "")


def test_torch_may_come_from_another_index(tmp_path: Path) -> None:
    """What pip is asked for; no such index can be reached from here."""
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\necho "$@" >>asked\nwhile [ $# -gt 1 ]; do shift; done\n'
        'if [ -f "$1" ]; then cp "$1" lock; fi\n'
    )
    python.chmod(0o755)
    install = ["sh", str(ROOT / "install_packages.sh"), str(python)]
    environment = {"PATH": os.environ["PATH"], "TORCH_INDEX": "https://index.test/cpu"}
    lock = (ROOT / "requirements.lock").read_text()
    subprocess.run(
        [*install, str(ROOT / "requirements.lock")], cwd=tmp_path, env=environment, check=True
    )
    first, second = (tmp_path / "asked").read_text().splitlines()
    versions = re.findall(r"^(?:torch|torchvision)==\S+", lock, re.MULTILINE)
    assert len(versions) == 2
    assert first.endswith(f"--no-deps --index-url https://index.test/cpu {' '.join(versions)}")
    assert "--require-hashes --no-deps -r" in second
    names = re.compile(r"^([a-z0-9._-]+)==", re.MULTILINE)
    left_out = set(names.findall(lock)) - set(names.findall((tmp_path / "lock").read_text()))
    assert {"torch", "torchvision", "triton", "nvidia-cudnn-cu13"} <= left_out
    others = {name for name in left_out if not name.startswith(("nvidia-", "cuda-"))}
    assert others == {"torch", "torchvision", "triton"}


def test_compose_file_is_valid_once_secrets_are_set(tmp_path: Path) -> None:
    result = compose_config(tmp_path, **SECRETS)
    assert result.returncode == 0, result.stderr
    for service in ("db", "migrate", "web", "worker", "embed", "video"):
        assert f"\n  {service}:\n" in result.stdout


@pytest.mark.parametrize("missing", SECRETS)
def test_compose_file_has_no_default_password(missing: str, tmp_path: Path) -> None:
    result = compose_config(tmp_path, **{k: v for k, v in SECRETS.items() if k != missing})
    assert result.returncode != 0
    assert f"set {missing}" in result.stderr


OF_THE_CONTAINER = {
    *("HOST", "PORT", "DATA_DIR", "DATABASE_URL", "PROMETHEUS_MULTIPROC_DIR"),
    *("POSTGRES_PASSWORD", "BIND"),
}
"""What the images and the compose file themselves use or set."""


def test_every_setting_reaches_every_service(tmp_path: Path) -> None:
    names = re.findall(r"^#([A-Z0-9_]+)=", read(".env.example"), re.M)
    lines = [f"{name}=of-{name.lower()}\n" for name in names if name not in ("PORT", "BIND")]
    result = compose_config(tmp_path, "".join(lines))
    assert result.returncode == 0, result.stderr
    for service in ("migrate", "web", "worker", "embed", "video", "lists"):
        block = result.stdout.split(f"\n  {service}:\n")[1]
        block = re.split(r"^ {0,2}\w", block, maxsplit=1, flags=re.M)[0]
        given = set(re.findall(r"^ +([A-Z0-9_]+): of-\w+$", block, re.M))
        assert given == set(names) - OF_THE_CONTAINER, service


HOSTS = ("database", "web", "workers")
OF_HOSTS = {
    **{"POSTGRES_PASSWORD": "p", "SECRET_KEY": "s", "BIND": "10.0.0.1"},
    **{"MEDIA_S3_URL": "https://s3.test/media", "DATABASE_URL": "postgres://db.test/imgsmlr"},
}


def of_three_hosts(directory: Path, host: str, env: Mapping[str, str]) -> Any:
    """The services of a file. The hosts' ``.env`` sets one thing more."""
    shutil.copytree(ROOT / "compose" / "three-hosts", directory, dirs_exist_ok=True)
    (directory / ".env").write_text("KEEP_ORIGINALS=all\n")
    result = compose_config(directory, "", directory / f"{host}.yml", **env)
    if result.returncode:
        raise ValueError(result.stderr)
    return yaml.safe_load(result.stdout)["services"]


@pytest.mark.slow
def test_three_hosts_run_what_one_runs(tmp_path: Path) -> None:
    one = yaml.safe_load(compose_config(tmp_path, **SECRETS).stdout)["services"]
    three: dict[str, Any] = {}
    for host in HOSTS:
        three |= of_three_hosts(tmp_path, host, OF_HOSTS)
    assert three.keys() == one.keys()
    shared = set()
    for name, service in three.items():
        assert service["image"] == one[name]["image"]
        given, here = service["environment"], one[name]["environment"]
        if name == "db":
            assert given == here
            assert set(one[name]["command"]) <= set(service["command"])
            continue
        assert given["KEEP_ORIGINALS"] == "all"  # what .env sets reaches each of them
        assert given.get("Q_CLUSTER_NAME") == here.get("Q_CLUSTER_NAME")
        shared.add((given["SECRET_KEY"], given["MEDIA_S3_URL"]))
        # No directory of another host, and no service of another file.
        assert all(str(each).startswith("data:/data") for each in service.get("volumes", []))
        assert set(service.get("depends_on", [])) <= {"db"}
    assert shared == {("s", "https://s3.test/media")}
    where = {name: each["environment"].get("DATABASE_URL") for name, each in three.items()}
    assert where.pop("migrate") == one["migrate"]["environment"]["DATABASE_URL"]
    assert {*where.values()} == {None, OF_HOSTS["DATABASE_URL"]}
    for name in ("worker", "embed", "video", "lists"):
        assert str(three[name]["command"]).count("exec python manage.py qcluster") == 1


def test_a_host_does_not_start_without_what_all_share(tmp_path: Path) -> None:
    shared = {"SECRET_KEY", "MEDIA_S3_URL"}
    for host, more in (
        ("database", {"POSTGRES_PASSWORD", "BIND"}),
        ("web", {"DATABASE_URL"}),
        ("workers", {"DATABASE_URL"}),
    ):
        text = read(f"compose/three-hosts/{host}.yml")
        assert set(re.findall(r"\$\{(\w+):\?set \1 in", text)) == shared | more
    without = {name: value for name, value in OF_HOSTS.items() if name != "MEDIA_S3_URL"}
    with pytest.raises(ValueError, match="set MEDIA_S3_URL"):
        of_three_hosts(tmp_path, "web", without)


def test_with_milvus_every_service_asks_it_and_nobody_else_can(tmp_path: Path) -> None:
    with_milvus = ROOT / "compose" / "milvus" / "milvus.yml"
    result = compose_config(tmp_path, "", ONE_HOST, with_milvus, **SECRETS)
    assert result.returncode == 0, result.stderr
    both = yaml.safe_load(result.stdout)["services"]
    one = yaml.safe_load(compose_config(tmp_path, **SECRETS).stdout)["services"]
    milvus = both.pop("milvus")
    assert "ports" not in milvus
    for source in (each.split(":")[0] for each in milvus["volumes"]):
        assert source == "milvus" or Path(source).is_file()
    assert both.keys() == one.keys()
    for name in both.keys() - {"db"}:
        assert both[name]["environment"].pop("MILVUS_URL") == "http://milvus:19530"
        assert both[name]["build"]["args"].pop("MILVUS") == "1"
        assert one[name]["environment"].pop("MILVUS_URL") is None
    assert both == one  # as without it, but for that


def test_yaml_files_have_no_findings() -> None:
    files = [ONE_HOST, *(ROOT / "compose").rglob("*.yml"), *(ROOT / "docs").rglob("*.yml")]
    linter = Path(sys.executable).with_name("yamllint")
    rules = "{extends: default, rules: {line-length: disable, document-start: disable}}"
    command = [linter, "--strict", "--config-data", rules, *files]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "")


def test_packages_of_milvus_are_those_of_the_service() -> None:
    """They are installed beside them."""
    pinned = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)
    ours = dict(pinned.findall(read("requirements.lock")))
    both = dict(pinned.findall(read("requirements-milvus.lock")))
    assert {
        name: version for name, version in both.items() if ours.get(name, version) != version
    } == {}


def test_env_example_names_every_setting() -> None:
    read = set(
        re.findall(r'env_\w+\(\s*"([A-Z0-9_]+)"', (ROOT / "imgsmlr_site/settings.py").read_text())
    )
    named = set(re.findall(r"^#([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert read - named == set()
    assert named - read == {"POSTGRES_PASSWORD", "BIND"}


@pytest.mark.parametrize(
    ("name", "least"), [("requirements", 10), ("requirements-dev", 10), ("requirements-milvus", 0)]
)
def test_the_lock_has_what_is_required(name: str, least: int) -> None:
    """`make lock` writes it. Each package has a hash, without which pip refuses all."""
    required = re.findall(r"^([\w.-]+)(?:\[.*?\])?==(\S+)$", read(f"{name}.txt"), re.MULTILINE)
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", read(f"{name}.lock"), re.MULTILINE))
    assert len(required) > least
    assert {each: locked.get(plain(each)) for each, _ in required} == dict(required)
    packages = re.split(r"^(?=\w)", read(f"{name}.lock"), flags=re.MULTILINE)[1:]
    assert [package for package in packages if "--hash=sha256:" not in package] == []


def read(name: str) -> str:
    return (ROOT / name).read_text()


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

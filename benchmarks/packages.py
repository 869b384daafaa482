"""Files of packages: downloaded and unpacked below the cache, not installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from benchmarks.cache import directory


def debian(name: str) -> Path:
    inside = _made("packages") / name
    if not inside.exists():
        debs = _made("debs")
        if not list(debs.glob(f"{name}_*.deb")):
            subprocess.run(["apt-get", "-q", "download", name], cwd=debs, check=True)
        (deb,) = debs.glob(f"{name}_*.deb")
        fresh = inside.with_suffix(".unpacking")
        subprocess.run(["dpkg-deb", "-x", deb, fresh], check=True)
        fresh.rename(inside)
    return inside


def wheel(name: str) -> Path:
    inside = _made("packages") / name
    if not inside.exists():
        wheels = _made("wheels")
        pattern = f"{name.replace('-', '_')}-*.whl"
        if not list(wheels.glob(pattern)):
            download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
            subprocess.run([*download, "--only-binary=:all:", name], cwd=wheels, check=True)
        (found,) = wheels.glob(pattern)
        fresh = inside.with_suffix(".unpacking")
        with zipfile.ZipFile(found) as archive:
            archive.extractall(fresh)
        fresh.rename(inside)
    return inside


def _made(name: str) -> Path:
    inside = directory() / name
    inside.mkdir(exist_ok=True)
    return inside

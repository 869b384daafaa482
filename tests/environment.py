"""Loaded by pytest before Django's settings: a directory and a PostgreSQL of the tests' own."""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import sys
import tempfile
from pathlib import Path

from imgsmlr_site.postgres.cluster import forget_cluster

# Some machines forbid to keep compiled modules. Then each of the hundreds of processes that tests
# start would compile all of the service, for half a second, and pytest all tests in each worker.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A worker of pytest-xdist is killed at Ctrl-C: its directory lies in that of the process which
# started it, and goes with it.
OUTER = os.environ["DATA_DIR"] if "PYTEST_XDIST_WORKER" in os.environ else None
DATA_DIR = Path(tempfile.mkdtemp(prefix="imgsmlr-tests-", dir=OUTER))
# PostgreSQL runs as another user when the tests run as root; it must be able to walk in.
DATA_DIR.chmod(0o755)
(DATA_DIR / "static").mkdir()
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)
# TMPDIR itself may be closed to that user: then the cluster is elsewhere. Runs before the above.
atexit.register(forget_cluster, DATA_DIR)

# glibc would return the memory of each large array to the system, and ask for it again at the next.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_libc = ctypes.CDLL(None)
_libc.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
_libc.mallopt(_M_TRIM_THRESHOLD, 256 * 2**20)

for name in (
    "DATABASE_URL",
    "DATABASE_REPLICA_URL",
    "MEDIA_S3_URL",
    "OPEN_API",
    "FETCH_ALLOW_PRIVATE",
    "WEBHOOK_ALLOW_PRIVATE",
    "EXCHANGE_ALLOW_PRIVATE",
    "TRUSTED_PROXIES",
    "ALLOWED_HOSTS",
    "OIDC_ISSUER",
    "EMAIL_URL",
):
    os.environ[name] = ""
os.environ |= {
    "DATA_DIR": str(DATA_DIR),
    "SECRET_KEY": "tests",
    "CLIP_PRETRAINED": "none",
    "SECOND_FACTOR": "none",
    "DJANGO_ALLOW_ASYNC_UNSAFE": "1",  # Playwright keeps an event loop in the main thread
}

"""What the service writes is for its own user: media, keys, indexes, backups.

It imports no Django, because programs that start before Django need it.
"""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE = 0o077
"""The umask of every process: files get 0600, directories 0700."""


def close_to_others() -> None:
    os.umask(PRIVATE)


def make_data_dir(path: Path) -> None:
    """Create ``DATA_DIR`` if it is not there. Where root starts the service, the user of the
    embedded PostgreSQL must be able to pass through it, but not to list it. Raise OSError."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)

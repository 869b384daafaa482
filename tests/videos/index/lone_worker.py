"""A worker that a test may kill: ``python -m tests.videos.index.lone_worker DATABASE MEDIA ID``."""

from __future__ import annotations

import sys

import django
from django.conf import settings


def main(database: str, media: str, pk: str) -> None:
    """Index one video of the tests' own database, as a task would."""
    settings.DATABASES["default"]["NAME"] = database
    settings.MEDIA_ROOT = media
    django.setup()

    from videos import tasks

    tasks.index_videos([int(pk)])


if __name__ == "__main__":
    main(*sys.argv[1:])

"""``manage.py bulk_load``: ``import_gallery`` of very many images, which are indexed afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import CommandError

from gallery.items import index_building
from gallery.items.models import Image
from gallery.management.commands import import_gallery
from gallery.management.index_bars import index_bar
from gallery.moving.archive import Manifest
from gallery.moving.storing import MoveOutcome
from gallery.shared.errors import UserError


class Command(import_gallery.Command):
    help = (
        "Import the images of an export_gallery into an empty gallery, or one with fewer images "
        "than the export: the indexes of vectors are dropped, and built when all images are there, "
        "which takes a fraction of the time. Searches and uploads go on; until the indexes are "
        "built, searches compare every image. If it is interrupted, run it again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """The exit code after Ctrl-C is 130."""
        try:
            super().handle(*args, **options)
        except CommandError:  # such as a damaged file, which may take long to repair
            self._build()
            raise
        self._build()

    def restore(self, directory: Path, manifest: Manifest) -> Iterator[MoveOutcome]:
        """Drop the indexes after the first batch: only if there is something to add, and with that
        of a CLIP model that this service had no vectors of."""
        drops = Image.objects.count() <= manifest.images
        for outcome in super().restore(directory, manifest):
            if drops and outcome.kind == "added":
                index_building.drop()
                drops = False
            yield outcome

    def _build(self) -> None:
        try:
            index_building.build_missing(index_bar)
        except UserError as error:
            raise CommandError(error.message) from error
        except KeyboardInterrupt:
            self.stopped()

    def stopped(self) -> NoReturn:
        if index_building.missing():
            self.stderr.write("Until then searches compare every image, as indexes are missing.")
        super().stopped()

"""``manage.py add_images``: add pictures of a directory, a CSV file, links or a bucket."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.core.management.base import CommandError
from tqdm import tqdm

from gallery.items.import_sources import Source
from gallery.items.importing import ImportOutcome, import_images
from gallery.management.add_items import AddItemsCommand


class Command(AddItemsCommand):
    contents = "pictures"
    unit = "image"
    help = (
        "Add pictures from a directory (with all below it), from a CSV file (columns file or url, "
        "data_id, remark, meta as JSON), from a text file with a link a line, or from a bucket of "
        "S3 (S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY). Run it again to resume: pictures that "
        "are stored already are skipped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--workers",
            type=int,
            default=len(os.sched_getaffinity(0)),
            help="processes that read and describe; as many as there are cores by default",
        )
        parser.add_argument(
            "--embed",
            action="store_true",
            help="run the models (copy, clip) now, on every core, not in the background",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"] < 1:
            raise CommandError("--workers must be at least 1.")
        super().handle(*args, **options)

    def run_import(
        self, sources: Iterable[Source], bar: tqdm, options: Mapping[str, Any]
    ) -> Iterator[ImportOutcome]:
        return import_images(
            sources=sources,
            by="command:add_images",
            workers=options["workers"],
            embed=options["embed"],
        )

"""``manage.py add_videos``: add videos of a directory, a CSV file, links or a bucket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tqdm import tqdm

from gallery.items.import_sources import Source
from gallery.items.importing import ImportOutcome
from gallery.management.add_items import AddItemsCommand
from videos.items.importing import import_videos


class Command(AddItemsCommand):
    contents = "videos"
    unit = "video"
    help = (
        "Add videos from a directory (with all below it), from a CSV file (columns file or url, "
        "data_id, remark, meta as JSON), from a text file with a link a line, or from a bucket of "
        "S3 (S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY), and index them. Run it again to resume: "
        "videos that are stored already are skipped."
    )

    def run_import(
        self, sources: Iterable[Source], bar: tqdm, options: Mapping[str, Any]
    ) -> Iterator[ImportOutcome]:
        return import_videos(
            sources=sources,
            by="command:add_videos",
            progress=lambda share: bar.set_postfix_str(f"{share:.0%} of the next"),
        )

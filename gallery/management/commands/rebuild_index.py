"""``manage.py rebuild_index``: fill the Milvus index from PostgreSQL."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from gallery.search import index_feeding, milvus
from gallery.shared.errors import UserError


class Command(BaseCommand):
    """Fills new collections while searches use the old ones."""

    help = (
        "Fill new collections of Milvus from PostgreSQL. Searches use the old ones until they are "
        "complete. If it is interrupted, run it again, or let the workers go on with it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--restart", action="store_true", help="begin again what was interrupted"
        )

    def handle(self, *args: Any, restart: bool, **options: Any) -> None:
        if not milvus.is_on():
            raise CommandError("There is no index to rebuild: MILVUS_URL is not set.")
        try:
            index_feeding.rebuild(restart=restart)
            with tqdm(total=index_feeding.rows_to_read(), unit="vector", disable=None) as bar:
                for done in index_feeding.feed():
                    bar.update(done - bar.n)
        except UserError as error:
            raise CommandError(error.message) from error
        self.stdout.write("The index is complete.")

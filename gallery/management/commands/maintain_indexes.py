"""``manage.py maintain_indexes``: rebuild the indexes of vectors while searches go on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gallery.items import index_building, vector_indexes
from gallery.management.index_bars import index_bar
from gallery.shared.errors import UserError


class Command(BaseCommand):
    """One index after the other, with a bar for each. The exit code after Ctrl-C is 130."""

    help = (
        "Build PostgreSQL's indexes of vectors anew and vacuum their tables, after much was "
        "deleted or added. Searches and writes go on meanwhile. It needs the disk space of the "
        "largest index once more. If it is interrupted, run it again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            built = index_building.build_missing(index_bar)
            vector_indexes.maintain(index_bar, fresh=built)
        except UserError as error:
            raise CommandError(error.message) from error
        for sentence in vector_indexes.outgrown():
            self.stderr.write(sentence)
        self.stdout.write("The indexes are as if they were new.")

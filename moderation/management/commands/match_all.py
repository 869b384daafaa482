"""``manage.py match_all``: rescan everything that is stored."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from tqdm import tqdm

from moderation.access.permissions import Actor
from moderation.lists import index_refresh, rescans
from moderation.lists.models import BannedList, RetroScan
from moderation.pipeline import rescan

COMMAND = Actor.machine("command")


class Command(BaseCommand):
    """Rescans for one enabled list after another, and continues a stopped rescan."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--list", action="append", metavar="NAME", help="only this list")

    def handle(self, *args: Any, **options: Any) -> None:
        """Refresh the index files, then rescan with a progress bar."""
        lists = BannedList.objects.filter(enabled=True, kind=BannedList.Kind.BANNED)
        if names := options["list"]:
            lists = lists.filter(name__in=names)
            if lost := set(names) - set(lists.values_list("name", flat=True)):
                raise CommandError(
                    f"No enabled list of banned items is named {', '.join(sorted(lost))}."
                )
        count = index_refresh.refresh(always=True)
        self.stdout.write(f"The indexes have {count:,} hashes and vectors.")
        for row in lists:
            with transaction.atomic():
                scan = rescans.start(by=COMMAND, list_id=row.pk, reason="match_all")
            self._run(scan, row.name)

    def _run(self, scan: RetroScan, name: str) -> None:
        with tqdm(desc=name, unit=" items", mininterval=0.5) as bar:

            def tell(scan: RetroScan) -> None:
                bar.total = scan.total
                bar.update(scan.done - bar.n)

            # Several attempts, because running uploads may take long.
            while not rescan.run(scan.pk, tell=tell):
                scan.refresh_from_db()
                if scan.claimed_until is not None:
                    self.stdout.write(f"{name}: a worker is running this scan already.")
                    return
                if scan.state not in rescan.UNFINISHED:
                    break
        scan.refresh_from_db()
        self.stdout.write(
            f"{name}: {scan.state}, {scan.done:,} items compared, {scan.found:,} matches, "
            f"{scan.cases:,} new cases."
        )
        if scan.unseen:
            self.stdout.write(
                f"{name}: the later frames of {scan.unseen:,} animations could not be compared by "
                "copy, as their originals are deleted."
            )
        if scan.state == RetroScan.State.FAILED:
            raise CommandError(f"The scan for {name} failed: {scan.failure}")

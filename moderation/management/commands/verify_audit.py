"""``manage.py verify_audit``: check that the audit has not been changed."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from moderation.audit import trail
from moderation.audit.models import AuditEvent

BREAKS_SHOWN = 20


class Command(BaseCommand):
    help = (
        "Check that no event of the audit was changed, removed or inserted. Events removed at the "
        "end are found only with --expect: store the digest that this prints elsewhere, and give "
        "it the next time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--expect", metavar="DIGEST", help="a digest printed earlier, which must still be there"
        )

    def handle(self, *args: Any, expect: str | None, **options: Any) -> None:
        """Raise CommandError if the chain is broken."""
        found = 0
        for broken in trail.find_breaks():
            found += 1
            if found <= BREAKS_SHOWN:
                self.stderr.write(f"event {broken.event_id}: {broken.reason}")
        if expect and not AuditEvent.objects.filter(digest=expect.strip().lower()).exists():
            found += 1
            self.stderr.write("there is no event with the expected digest")
        if found:
            raise CommandError(f"The audit is broken in {found} places.")
        last = trail.last_event()
        digest = last.digest if last else trail.FIRST
        count = AuditEvent.objects.count()
        self.stdout.write(f"{count} events are intact. The last digest is {digest}.")

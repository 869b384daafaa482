"""``manage.py postgres``: run the embedded PostgreSQL in the foreground."""

from __future__ import annotations

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from imgsmlr_site.postgres.programs import PostgresError
from imgsmlr_site.postgres.server import EmbeddedPostgres


class Command(BaseCommand):
    """Runs until Ctrl-C or SIGTERM. The log goes to stdout."""

    help = "Run the embedded PostgreSQL in the foreground, until Ctrl-C."
    # Some checks query the database, which does not run yet.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit with code 0 after a signal, 1 if PostgreSQL ends by itself."""
        if settings.DATABASE_URL:
            raise CommandError(
                "DATABASE_URL is set, so there is no embedded PostgreSQL to run: "
                "unset it to use the embedded one."
            )
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with EmbeddedPostgres(settings.DATA_DIR) as server:
                self.stdout.write(f"PostgreSQL is ready: {server.dsn}")
                self.stdout.flush()
                code = server.wait()
        except PostgresError as error:
            raise CommandError(error.message) from error
        except KeyboardInterrupt:
            return
        raise CommandError(f"PostgreSQL ended by itself (exit code {code}); see its log above.")

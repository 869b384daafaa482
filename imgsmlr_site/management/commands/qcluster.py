"""``manage.py qcluster``: clusters of workers. It takes the place of django-q2's command."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django_q.conf import Conf

from imgsmlr_site import clusters


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C. Exit code 1 if a cluster cannot go on."""

    help = "Run the clusters named, or the one that Q_CLUSTER_NAME names ('light' if it is unset)."
    # They would load all pages. `up` and `check` run them where somebody reads the answer.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("clusters", nargs="*", metavar="CLUSTER", help="light, video, ...")
        parser.add_argument("--prepare", metavar="MODEL", help="run prepare_models for it first")

    def handle(self, *args: Any, **options: Any) -> None:
        clusters.run(options["clusters"] or [Conf.CLUSTER_NAME], options["prepare"])

"""``manage.py login_link``: let a browser and the programs of this machine in."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from gallery.management.site_address import site_address
from imgsmlr_site import local_access


class Command(BaseCommand):
    """Prints a new link, and where the key is."""

    help = "Print a link that lets one browser in, and the file with the key for programs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--site", default=site_address(), help="default: %(default)s")

    def handle(self, *args: Any, site: str, **options: Any) -> None:
        self.stdout.write(local_access.welcome(site.rstrip("/")))

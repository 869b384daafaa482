"""``manage.py demo``, behind ``make demo``: add samples to a running service over HTTP."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import orjson
import urllib3
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from gallery.management import demo_videos
from gallery.management.demo_pictures import Sample, samples
from gallery.management.site_address import site_address

Fields = dict[str, str | tuple[str, bytes, str]]
"""Form fields. A file is a tuple of name, bytes and type."""


class Command(BaseCommand):
    """Adds the samples that are not stored yet."""

    help = (
        "Fill the service that runs on HOST:PORT with sample pictures, edited copies of them, and "
        "videos."
    )
    # The command calls a service and needs no database of its own.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--site", default=site_address(), help="default: %(default)s")
        parser.add_argument(
            "--key", help="an API key with the scope add; default: that in DATA_DIR/key, if any"
        )

    def handle(self, *args: Any, site: str, key: str | None, **options: Any) -> None:
        """Raises CommandError with advice if the service does not accept the samples."""
        if key is None and (path := settings.DATA_DIR / "key").exists():
            key = path.read_text().strip()
        http = urllib3.PoolManager(
            headers={"X-API-Key": key} if key else {}, timeout=60, retries=False
        )
        self.require_service(http, site)
        added = 0
        pictures = list(samples())
        for sample in tqdm(pictures, unit="image", disable=None):
            added += self.add_picture(http, site, sample)
        self.stdout.write(
            f"{added} pictures added, {len(pictures) - added} were there. "
            f"Search with one of them: {site}/imgsmlr/"
        )
        names = demo_videos.VIDEOS
        added = sum(self.add_video(http, site, name) for name in names)
        self.stdout.write(
            f"{added} videos added, {len(names) - added} were there. Once they are indexed, look "
            f"for a picture in them: {site}/imgsmlr/?in=videos"
        )

    def require_service(self, http: urllib3.PoolManager, site: str) -> None:
        try:
            answer = http.request("GET", f"{site}/healthz", timeout=5)
        except urllib3.exceptions.HTTPError as error:
            raise CommandError(
                f"No service answers at {site}: start it with `make run` in another terminal, "
                "or set HOST and PORT to where it runs."
            ) from error
        if answer.status != 200 or b'"status"' not in answer.data:
            raise CommandError(
                f"What answers at {site} is not this service: set HOST and PORT to where it runs."
            )

    def add_picture(self, http: urllib3.PoolManager, site: str, sample: Sample) -> bool:
        remark = f"{sample.family}, {sample.edit}" if sample.edit else sample.family
        fields: Fields = {
            "file": (f"{sample.name}.jpg", sample.data, "image/jpeg"),
            "data_id": f"demo/{sample.name}",
            "remark": remark,
            "meta": orjson.dumps({"family": sample.family, "edit": sample.edit}).decode(),
        }
        return self.add(http, site, "images/?wait=30", fields)

    def add_video(self, http: urllib3.PoolManager, site: str, name: str) -> bool:
        fields: Fields = {
            "file": (f"{name}.mp4", demo_videos.mp4(name), "video/mp4"),
            "data_id": f"demo/{name}",
            "remark": f"{name}, over the sample pictures",
        }
        return self.add(http, site, "videos/", fields)

    def add(self, http: urllib3.PoolManager, site: str, path: str, fields: Fields) -> bool:
        """Return False if the item is stored already. Raises CommandError."""
        try:
            answer = http.request("POST", f"{site}/api/v1/{path}", fields=fields)
        except urllib3.exceptions.HTTPError as error:
            raise CommandError(f"The service at {site} broke off; see its log.") from error
        if answer.status in (401, 403):
            raise CommandError(
                f"The service at {site} asks for a key: give one with the scope add as --key. "
                "`manage.py login_link` makes one for this machine."
            )
        if answer.status not in (201, 202, 409):
            raise CommandError(f"{fields['data_id']} was refused: {answer.data[:300].decode()}")
        return bool(answer.status != 409)

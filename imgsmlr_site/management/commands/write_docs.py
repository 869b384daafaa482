"""``manage.py write_docs``: the parts of docs/ that are generated from the code."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from gallery.models import TRANSITIONS, Status


class Command(BaseCommand):
    """Writes them; with --check only says whether they are fresh."""

    help = "Write docs/openapi.yaml and docs/image-states.md."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--check fails if a file on disk differs."""
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        """Raises CommandError when stale."""
        directory = settings.BASE_DIR / "docs"
        for name, text in {"openapi.yaml": openapi(), "image-states.md": image_states()}.items():
            path = directory / name
            if path.exists() and path.read_text() == text:
                continue
            if check:
                raise CommandError(f"docs/{name} is stale; run: make docs")
            path.write_text(text)
            self.stdout.write(f"docs/{name}")


def openapi() -> str:
    """The schema of /api/schema/, as YAML."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    rendered: bytes = OpenApiYamlRenderer().render(schema, renderer_context={})
    return rendered.decode()


def image_states() -> str:
    """The state machine of images as a Mermaid diagram."""
    lines = [
        f"    {start.value} --> {end.value}"
        for start, ends in TRANSITIONS.items()
        for end in sorted(ends)
    ]
    return "\n".join(
        [
            "# States of an image",
            "",
            "Generated from `gallery.models.TRANSITIONS` by `make docs`.",
            "",
            "```mermaid",
            "stateDiagram-v2",
            f"    [*] --> {Status.PENDING.value}",
            *lines,
            "```",
            "",
        ]
    )

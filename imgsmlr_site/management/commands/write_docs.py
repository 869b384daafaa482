"""``manage.py write_docs``: the parts of docs/ that are generated from the code."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Set
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from gallery.items.item import TRANSITIONS, Status
from moderation.cases import states
from moderation.cases.states import CaseState


class Command(BaseCommand):
    """Writes them; with --check only says whether they are fresh."""

    help = "Write docs/openapi.yaml, docs/image-states.md and docs/case-states.md."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--check fails if a file on disk differs."""
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        """Raises CommandError when stale."""
        directory = settings.BASE_DIR / "docs"
        generated = {
            "openapi.yaml": openapi(),
            "image-states.md": image_states(),
            "case-states.md": case_states(),
        }
        for name, text in generated.items():
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
    return diagram("an image", "gallery.items.item.TRANSITIONS", Status.PENDING, TRANSITIONS)


def case_states() -> str:
    """The state machine of review cases, and what each state means."""
    meanings = [f"- `{state.value}`: {states.MEANINGS[state]}" for state in CaseState]
    text = diagram(
        "a case", "moderation.cases.states.TRANSITIONS", CaseState.OPEN, states.TRANSITIONS
    )
    undoing = "Undoing a decision leads back to where it came from; those steps are not drawn."
    return "\n".join([text, *meanings, "", undoing, ""])


def diagram(of: str, source: str, first: Any, transitions: Mapping[Any, Set[Any]]) -> str:
    """A page with a state machine."""
    lines = [
        f"    {start.value} --> {end.value}"
        for start, ends in transitions.items()
        for end in sorted(ends)
    ]
    return "\n".join(
        [
            f"# States of {of}",
            "",
            f"Generated from `{source}` by `make docs`.",
            "",
            "```mermaid",
            "stateDiagram-v2",
            f"    [*] --> {first.value}",
            *lines,
            "```",
            "",
        ]
    )

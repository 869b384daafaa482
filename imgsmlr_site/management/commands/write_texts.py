"""``manage.py write_texts``: bring the catalogs of translated texts up to date with the sources."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.commands import makemessages
from django.utils.translation import to_locale

APPS = ("gallery", "videos", "moderation", "imgsmlr_site")
IGNORED = ["tests/*", "benchmarks/*", "docs/*", "clients/*", "var/*", ".venv/*"]


class Command(makemessages.Command):
    """Writes the texts that are marked in Python, templates and scripts to the catalogs, and
    compiles these. Translations of unchanged texts stay. Run it in the checkout's root.

    Templates and scripts of an app (``templates/gallery``) go to the app's own catalog, all others
    to that of ``imgsmlr_site``.
    """

    help = "Write the catalogs of translated texts (needs GNU gettext)."
    # A text that changed is translated anew: a guess from a similar one is easily overlooked.
    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Nothing of ``makemessages`` is left to choose."""

    def handle(self, *args: Any, **options: Any) -> None:
        locales = [to_locale(code) for code, _ in settings.LANGUAGES[1:]]
        for domain in ("django", "djangojs"):
            super().handle(
                **{"verbosity": 0, "locale": locales, "exclude": [], "all": False},
                **{"extensions": [], "symlinks": False, "ignore_patterns": list(IGNORED)},
                **{"use_default_ignore_patterns": True, "no_wrap": False, "no_location": False},
                **{"add_location": "file", "no_obsolete": True, "keep_pot": False},
                domain=domain,
            )
        for app in APPS:
            for path in Path(app, "locale").rglob("*.po"):
                text = re.sub(
                    r'^"(POT-Creation|PO-Revision)-Date.*\n', "", path.read_text(), flags=re.M
                )
                path.write_text(text)
        call_command("compilemessages", verbosity=0, ignore_patterns=IGNORED)

    def find_files(self, root: str) -> list[makemessages.TranslatableFile]:
        files = super().find_files(root)
        for file in files:
            first, second, *_ = (*Path(file.path).parts, "")
            app = second if first in ("templates", "static") else first
            file.locale_dir = str(Path(app if app in APPS else "imgsmlr_site", "locale").resolve())
        return files

"""A process of its own that answers, line by line, which items a PDQ hash or a picture matches now.

Run with the name of the database; reads hashes in hex and paths of files from its standard input.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django


def main() -> None:
    """Answer until the input ends."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "imgsmlr_site.settings"
    django.setup()
    from django.db import connection

    connection.settings_dict["NAME"] = sys.argv[1]

    from moderation.lists import policies
    from moderation.screening import content, screen

    for line in sys.stdin:
        path = Path(line.strip())
        is_file = path.is_absolute()
        subject = (
            content.of_bytes(path.read_bytes())
            if is_file
            else content.of_hash("pdq", path.name, 90)
        )
        found = screen.screen(subject, policies.current())
        items = sorted(match.item_id for match in found.matches if match.within)
        print(found.verdict.value, *items, flush=True)


if __name__ == "__main__":
    main()

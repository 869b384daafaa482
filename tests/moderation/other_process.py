"""A process of its own that answers, line by line, which items a PDQ hash matches at this moment.

Run with the name of the database; reads hashes in hex from its standard input.
"""

from __future__ import annotations

import os
import sys

import django


def main() -> None:
    """Answer until the input ends."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "imgsmlr_site.settings"
    django.setup()
    from django.db import connection

    connection.settings_dict["NAME"] = sys.argv[1]

    from moderation import policies, screening, subjects

    for line in sys.stdin:
        subject = subjects.of_hash("pdq", line.strip(), 90)
        found = screening.screen(subject, policies.current())
        items = sorted(match.item_id for match in found.matches if match.within)
        print(found.verdict.value, *items, flush=True)


if __name__ == "__main__":
    main()

"""A process that searches by CLIP without pause, with its own settings, as a web process does.

Run with the name of the database and the file of a picture. It prints a line of JSON for each
search until it is killed: ids with distances, or the error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import django


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "imgsmlr_site.settings"
    django.setup()
    from django.db import connection

    connection.settings_dict["NAME"] = sys.argv[1]

    from gallery.search.image_search import ImageQuery, search_images

    data = Path(sys.argv[2]).read_bytes()
    while True:
        time.sleep(0.05)
        try:
            found = search_images(
                ImageQuery(data=data), match_type="clip", limit=500, threshold=2
            ).matches
            answer: object = [[match.image.pk, match.distance] for match in found]
        except Exception as error:
            answer = repr(error)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Ask imgsmlr-server whether a file may be shown. The answer is the exit code.

    imgsmlr_scan.py FILE

It needs no packages, and fits wherever a scanner is called with the path of a file, such as the
``script`` of Matrix' content scanner: 0 accepts, everything else refuses.

    0  the file may be shown
    1  the file is refused: its verdict is among REFUSES
    2  the file could not be compared, and ON_FAILURE is "closed"
    64 the call is wrong

Environment:

    IMGSMLR_URL         http://127.0.0.1:8140
    IMGSMLR_KEY         a key with the scope check
    IMGSMLR_REFUSES     block, or block,review (default)
    IMGSMLR_ON_FAILURE  closed (default) or open
    IMGSMLR_TIMEOUT     seconds, 20 by default
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path

ACCEPTED, REFUSED, FAILED, USAGE = 0, 1, 2, 64


class CheckFailed(Exception):
    """The file could not be compared. The message says why."""


def verdict_of(file: Path, settings: Mapping[str, str]) -> str:
    """Return allow, review or block. Raises ``CheckFailed``."""
    boundary = uuid.uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    try:
        body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        if key := settings.get("IMGSMLR_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        address = settings.get("IMGSMLR_URL", "http://127.0.0.1:8140").rstrip("/")
        request = urllib.request.Request(  # noqa: S310  # the operator's own address
            f"{address}/api/v1/moderation/check/", body, headers, method="POST"
        )
        seconds = float(settings.get("IMGSMLR_TIMEOUT", "20"))
        with urllib.request.urlopen(request, timeout=seconds) as response:  # noqa: S310
            return str(json.load(response)["verdict"])
    except urllib.error.HTTPError as error:
        raise CheckFailed(f"{error.code}: {error.read()[:300].decode(errors='replace')}") from error
    except (OSError, ValueError, KeyError) as error:
        raise CheckFailed(str(error)) from error


def main(arguments: list[str], settings: Mapping[str, str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return USAGE
    refused = settings.get("IMGSMLR_REFUSES", "block,review").replace(" ", "").split(",")
    try:
        verdict = verdict_of(Path(arguments[0]), settings)
    except CheckFailed as error:
        print(f"not compared: {error}", file=sys.stderr)
        return ACCEPTED if settings.get("IMGSMLR_ON_FAILURE") == "open" else FAILED
    print(verdict)
    return REFUSED if verdict in refused else ACCEPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

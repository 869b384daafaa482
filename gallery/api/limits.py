"""What both HTTP APIs accept in the texts that go with an image."""

from __future__ import annotations

MAX_URL = 2048
MAX_DATA_ID = MAX_UPLOADER = 255
MAX_REMARK = 10_000
MAX_BATCH = 100

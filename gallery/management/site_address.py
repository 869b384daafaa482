"""Where the service of this machine is."""

from __future__ import annotations

from django.conf import settings

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (listening there, not calling)


def site_address() -> str:
    """Return the address of the service that runs on HOST and PORT, without a last slash."""
    host = ANY_ADDRESS.get(settings.HOST, settings.HOST)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}"

"""The module's part of homeserver.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit


class ConfigError(Exception):
    """Stops the start of the homeserver, with a sentence that says what to change."""


@dataclass(frozen=True)
class Config:
    """``url``: of imgsmlr-server. ``key``: with the scope ``check``. ``refuses``: verdicts.

    ``open``: whether media that could not be compared is accepted. ``timeout``: seconds.
    ``homeserver``: its own client API, and ``token``: of an account there, with which the media of
    events is read; "" leaves events alone.
    """

    url: str
    key: str
    refuses: frozenset[str]
    open: bool
    timeout: float
    homeserver: str
    token: str

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Config:
        """Read the module's part of the homeserver's settings. Raises ``ConfigError``."""
        known = {"on_failure" if one.name == "open" else one.name for one in fields(cls)}
        if unknown := given.keys() - known:
            raise ConfigError(f"imgsmlr: there is no setting {', '.join(sorted(unknown))}.")
        refuses = given.get("refuses", ["block"])
        if not isinstance(refuses, list) or not set(map(str, refuses)) <= {"block", "review"}:
            raise ConfigError("imgsmlr: refuses is a list of block and review.")
        if "block" not in refuses:
            raise ConfigError("imgsmlr: refuses has to name block.")
        failure = given.get("on_failure", "closed")
        if failure not in ("closed", "open"):
            raise ConfigError("imgsmlr: on_failure is closed or open.")
        timeout = given.get("timeout", 20)
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
            raise ConfigError("imgsmlr: timeout is a number of seconds.")
        homeserver, token = _address(given, "homeserver", ""), str(given.get("token", ""))
        if bool(homeserver) != bool(token):
            raise ConfigError("imgsmlr: to check events, set both homeserver and token.")
        return cls(
            url=_address(given, "url", "http://127.0.0.1:8140"),
            key=str(given.get("key", "")),
            refuses=frozenset(refuses),
            open=failure == "open",
            timeout=float(timeout),
            homeserver=homeserver,
            token=token,
        )


def _address(given: Mapping[str, Any], name: str, default: str) -> str:
    value = str(given.get(name, default)).rstrip("/")
    parts = urlsplit(value)
    if value and not (parts.scheme in ("http", "https") and parts.hostname):
        raise ConfigError(f"imgsmlr: {name} is an address such as http://127.0.0.1:8140.")
    return value

"""Typed readers of environment variables. A bad value raises an error that says how to correct it.

Only ``imgsmlr_site.settings`` calls them.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

Number = TypeVar("Number", int, float)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def env_str(name: str, default: str = "") -> str:
    """Return the stripped value; if it is unset or blank, ``default``."""
    return os.environ.get(name, "").strip() or default


def env_bool(name: str, default: bool) -> bool:
    """Read 1/true/yes/on or 0/false/no/off, in any case."""
    raw = env_str(name).lower()
    if not raw:
        return default
    if raw not in TRUE | FALSE:
        raise ImproperlyConfigured(f"{name}={raw!r} is neither true nor false; use 1 or 0.")
    return raw in TRUE


def env_choice(name: str, choices: Sequence[str]) -> str:
    """Read one of ``choices``; the first is the default."""
    value = env_str(name, choices[0])
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} is none of: {', '.join(choices)}.")
    return value


def env_url(name: str, *, plain: bool = False) -> str:
    """Read an address of another service: https, or http on this machine. "" if it is unset.

    ``plain``: http is accepted for every host, as for services on a network of their own.
    """
    value = env_str(name).rstrip("/")
    parts = urlsplit(value)
    local = plain or parts.hostname in ("localhost", "127.0.0.1", "::1")
    fits = parts.scheme == "https" or (parts.scheme == "http" and local)
    if value and not (fits and parts.hostname):
        wanted = "http:// or https://" if plain else "https://"
        raise ImproperlyConfigured(f"{name}={value!r} does not begin with {wanted}.")
    return value


def env_bucket(name: str) -> dict[str, str]:
    """Read ``https://KEY:SECRET@HOST/BUCKET/PREFIX?region=REGION`` as options of ``S3Storage``.

    Key and secret may be percent-encoded. Without them the machine's own are used. {} if unset.
    """
    value = env_str(name)
    if not value:
        return {}
    parts = urlsplit(value)
    bucket, _, prefix = parts.path.strip("/").partition("/")
    query = parse_qs(parts.query)
    if parts.scheme not in ("http", "https") or not parts.hostname or not bucket:
        # Without the value, which holds a secret.
        raise ImproperlyConfigured(
            f"{name} is not of the form https://KEY:SECRET@HOST/BUCKET/PREFIX?region=REGION."
        )
    options = {
        "endpoint_url": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        "bucket_name": bucket,
        "location": prefix,
        "region_name": query.get("region", ["us-east-1"])[0],
    }
    if parts.username and parts.password:
        options["access_key"] = unquote(parts.username)
        options["secret_key"] = unquote(parts.password)
    return options


def _number(
    kind: type[Number], what: str, name: str, default: float, minimum: float, maximum: float
) -> Number:
    raw = env_str(name) or str(default)
    try:
        value = kind(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={raw!r} is not {what}.") from None
    if not minimum <= value <= maximum:
        raise ImproperlyConfigured(f"{name}={value} is outside {minimum} to {maximum}.")
    return value


def env_int(name: str, default: int, *, minimum: int, maximum: int = 2**31 - 1) -> int:
    return _number(int, "a whole number", name, default, minimum, maximum)


def env_float(name: str, default: float, *, minimum: float, maximum: float) -> float:
    return _number(float, "a number", name, default, minimum, maximum)


def env_list(name: str, default: str = "") -> list[str]:
    """Read comma-separated words without blanks."""
    return [word.strip() for word in env_str(name, default).split(",") if word.strip()]


def env_networks(name: str) -> tuple[Network, ...]:
    """Read comma-separated CIDRs or addresses. ``1`` means loopback; unset or ``0`` means none."""
    words = env_list(name)
    if words in ([], ["0"]):
        return ()
    if words == ["1"]:
        return LOOPBACK
    try:
        return tuple(ipaddress.ip_network(word) for word in words)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name}: {error}; use CIDRs such as 10.0.0.0/8,::1/128, or 1 for loopback."
        ) from None


def secret_from_file(path: Path) -> str:
    """Return the secret stored in ``path``. Create it on first use, readable only by its owner.

    It is written under another name and linked into place, so that two processes that start at the
    same time use the same secret.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_secret(path, secrets.token_urlsafe(48))
    return path.read_text().strip()


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read. An existing one is left as it is."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first; its secret counts
    finally:
        draft.unlink()

"""Secrets in the database, encrypted with a key made from ``SECRET_KEY``.

A copy of the database alone does not give them away. With another ``SECRET_KEY`` they cannot be
read: they must be entered again.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings


class Unreadable(Exception):
    """The text was encrypted with another ``SECRET_KEY``, or for another purpose."""


def encrypt(text: str, purpose: str) -> str:
    """``purpose``: each has a key of its own."""
    return _cipher(purpose).encrypt(text.encode()).decode()


def decrypt(encrypted: str, purpose: str) -> str:
    """Raises ``Unreadable``."""
    try:
        return _cipher(purpose).decrypt(encrypted).decode()
    except InvalidToken as error:
        raise Unreadable from error


def _cipher(purpose: str) -> Fernet:
    key = hashlib.sha256(f"{purpose}\0{settings.SECRET_KEY}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))

"""News that other apps listen to, sent synchronously inside the writing transaction."""

from __future__ import annotations

from django.dispatch import Signal

video_added = Signal()
"""``video``: a row has just been inserted."""

video_indexed = Signal()
"""``video``: its frames have just been stored, before any gate is asked; also when indexed anew."""

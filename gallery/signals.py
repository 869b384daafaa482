"""News that other apps listen to, sent synchronously inside the writing transaction."""

from django.dispatch import Signal

image_added = Signal()
"""``image``: a row has just been inserted."""

changed = Signal()
"""``by``, ``verb``, ``subject`` (a model instance or a table name), ``before``, ``after``."""

"""Where Django looks for the models of this app: all are in ``gallery.items.models``."""

from gallery.items.models import (
    ClipVersion,
    DuplicatePair,
    DuplicateRun,
    DuplicateScan,
    Image,
    ImageDetail,
    ImageFingerprint,
    ItemBatch,
    LinkCheck,
    NotDuplicate,
)

__all__ = [
    "ClipVersion",
    "DuplicatePair",
    "DuplicateRun",
    "DuplicateScan",
    "Image",
    "ImageDetail",
    "ImageFingerprint",
    "ItemBatch",
    "LinkCheck",
    "NotDuplicate",
]

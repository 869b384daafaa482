"""The admin of images: a door like the API, so every write is one call of a service."""

from gallery.admin.duplicates import DuplicatesAdmin
from gallery.admin.images import ImageAdmin

__all__ = ["DuplicatesAdmin", "ImageAdmin"]

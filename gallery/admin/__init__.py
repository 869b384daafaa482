"""The admin of images. Like the API, it changes data only through the services."""

from gallery.admin.duplicates import DuplicatesAdmin
from gallery.admin.images import ImageAdmin

__all__ = ["DuplicatesAdmin", "ImageAdmin"]

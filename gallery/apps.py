"""The gallery app."""

from django.apps import AppConfig
from django.conf import settings


class GalleryConfig(AppConfig):
    """Tells the descriptors what the settings say about CLIP."""

    name = "gallery"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Nothing heavy is imported here: web and workers fork after it."""
        from gallery import descriptors

        descriptors.configure(
            clip_model=settings.CLIP_MODEL, clip_pretrained=settings.CLIP_PRETRAINED
        )

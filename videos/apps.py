"""The videos app."""

from django.apps import AppConfig


class VideosConfig(AppConfig):
    """Registers the app; it has no models yet."""

    name = "videos"
    default_auto_field = "django.db.models.BigAutoField"

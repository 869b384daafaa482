"""The moderation app."""

from django.apps import AppConfig


class ModerationConfig(AppConfig):
    """Registers the app; it has no models yet."""

    name = "moderation"
    default_auto_field = "django.db.models.BigAutoField"

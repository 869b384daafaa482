"""The site app: keys, system checks, the first administrator."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "imgsmlr_site"
    verbose_name = "Access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from imgsmlr_site import accounts, checks, request_log  # noqa: F401

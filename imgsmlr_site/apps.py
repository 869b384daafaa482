"""The site app: keys, system checks, the first administrator."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "imgsmlr_site"
    verbose_name = "Access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from imgsmlr_site import checks, request_log  # noqa: F401
        from imgsmlr_site.accounts import events, first_admin, second_factor, sessions  # noqa: F401

"""The site app: keys, accounts, system checks."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from gallery.shared.schedules import Scheduled, make_schedules


class SiteConfig(AppConfig):
    name = "imgsmlr_site"
    verbose_name = "Access"
    default_auto_field = "django.db.models.BigAutoField"
    schedules = (
        Scheduled("Forget ended sessions", "imgsmlr_site.accounts.sessions.forget_ended", 24 * 60),
    )

    def ready(self) -> None:
        from imgsmlr_site import checks, request_log  # noqa: F401
        from imgsmlr_site.accounts import events, first_admin, second_factor, sessions  # noqa: F401

        # Neither is part of a migration.
        apps.get_model("auth", "user")._meta.verbose_name_plural = _("people")
        # Pages of accounts stand under the same heading as keys.
        apps.get_app_config("auth").verbose_name = self.verbose_name
        post_migrate.connect(make_schedules, sender=self)

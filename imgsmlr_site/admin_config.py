"""The admin, with our pages in place of those that libraries register."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class SiteAdminConfig(AdminConfig):
    """Replaces them once every app has registered its own."""

    default = False

    def ready(self) -> None:
        """Register, then replace."""
        super().ready()
        from imgsmlr_site import library_admin  # noqa: F401

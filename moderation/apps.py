"""The moderation app."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ModerationConfig(AppConfig):
    """Makes the groups that are roles."""

    name = "moderation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Nothing heavy is imported here: web and workers fork after it."""
        post_migrate.connect(make_groups, sender=self)


def make_groups(**kwargs: Any) -> None:
    """The groups whose members have a role: every migrate makes those that are missing."""
    from django.contrib.auth.models import Group

    from moderation.permissions import GROUPS

    for name in GROUPS:
        Group.objects.get_or_create(name=name)

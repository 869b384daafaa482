"""The moderation app."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from gallery.shared.schedules import Scheduled, make_schedules

CHANGES_ITEMS = ("lead", "admin")
"""Roles that may quarantine and release items directly. A moderator does it by deciding cases."""


class ModerationConfig(AppConfig):
    """Creates the groups of the roles and the schedules of periodic tasks."""

    name = "moderation"
    verbose_name = _("Moderation")
    default_auto_field = "django.db.models.BigAutoField"
    schedules = (
        Scheduled("Scan what was left over", "moderation.tasks.sweep", 1, "lists"),
        Scheduled("Import what was left over", "moderation.tasks.pick_up_imports", 5, "lists"),
        Scheduled("Pull from hash exchanges", "moderation.tasks.pull_exchanges", 1, "lists"),
        Scheduled("Send webhooks", "moderation.tasks.send_webhooks", 1, "lists"),
        Scheduled(
            "Delete settled webhook messages",
            "moderation.tasks.clean_up_webhooks",
            24 * 60,
            "lists",
        ),
        Scheduled("End what is allowed for a time", "moderation.tasks.retire_expired", 5, "lists"),
        Scheduled(
            "Let go of originals no case needs", "moderation.tasks.forget_originals", 24 * 60
        ),
        Scheduled(
            "Delete pictures of cases decided long ago",
            "moderation.tasks.delete_expired_pictures",
            24 * 60,
        ),
        Scheduled("Forget answers to checks", "moderation.tasks.forget_answers", 24 * 60),
        Scheduled("Start the drill", "moderation.tasks.start_drill", 24 * 60, "lists"),
        Scheduled("Send overdue notices", "moderation.tasks.send_overdue_notices", 5, "lists"),
        Scheduled(
            "Delete who sent notices",
            "moderation.tasks.delete_contacts_of_notices",
            24 * 60,
        ),
        Scheduled("End the drill", "moderation.tasks.finish_drill", 5, "lists"),
    )

    def ready(self) -> None:
        """Import nothing large here, because web and workers fork after it."""
        from gallery.shared.translated_names import translate_names
        from moderation import receivers  # noqa: F401

        translate_names(self)

        post_migrate.connect(make_groups, sender=self)
        post_migrate.connect(make_schedules, sender=self)


def make_groups(**kwargs: Any) -> None:
    """Create missing groups of roles after each migrate.

    A new group gets the permissions that its role needs for images and videos. Later changes by an
    administrator are kept.
    """
    from django.contrib.auth.models import Group, Permission

    from moderation.access.permissions import GROUPS

    for name in GROUPS:
        group, made = Group.objects.get_or_create(name=name)
        if made:
            verbs = ["view", "change"] if name in CHANGES_ITEMS else ["view"]
            codes = [f"{verb}_{model}" for verb in verbs for model in ("image", "video")]
            group.permissions.set(
                Permission.objects.filter(
                    codename__in=codes, content_type__app_label__in=["gallery", "videos"]
                )
            )

"""The videos app."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

SWEEP_MINUTES = 1


class VideosConfig(AppConfig):
    """Schedules what runs by itself."""

    name = "videos"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Nothing heavy is imported here: web and workers fork after it."""
        from gallery.items import kinds

        kinds.register("video", "videos.items.video_kind.VIDEO")
        post_migrate.connect(make_schedules, sender=self)


def make_schedules(**kwargs: Any) -> None:
    """Videos whose task was given up are picked up again; older ones are indexed anew."""
    from django_q.models import Schedule

    Schedule.objects.get_or_create(
        name="Index what was left over",
        defaults={
            "func": "videos.tasks.sweep",
            "schedule_type": Schedule.MINUTES,
            "minutes": SWEEP_MINUTES,
            "cluster": "video",
        },
    )
    Schedule.objects.get_or_create(
        name="Index anew what older versions indexed",
        defaults={
            "func": "videos.tasks.index_older",
            "schedule_type": Schedule.HOURLY,
            "cluster": "video",
        },
    )

"""The gallery app."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate

SWEEP_MINUTES = 5


class GalleryConfig(AppConfig):
    """Tells the descriptors what the settings say about CLIP, and schedules the sweep."""

    name = "gallery"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Nothing heavy is imported here: web and workers fork after it."""
        from gallery.imaging import descriptors
        from gallery.items import kinds

        kinds.register("image", "gallery.items.image_kind.IMAGE")
        descriptors.configure(
            models=settings.DATA_DIR / "models",
            clip_model=settings.CLIP_MODEL,
            clip_pretrained=settings.CLIP_PRETRAINED,
            clip_precision=settings.CLIP_PRECISION,
            clip_threads=settings.CLIP_THREADS,
        )
        post_migrate.connect(make_schedules, sender=self)


def make_schedules(**kwargs: Any) -> None:
    """Images whose task was given up are picked up again within minutes; links are looked at, and
    what killed processes left is removed."""
    from django_q.models import Schedule

    Schedule.objects.get_or_create(
        name="Describe what was left over",
        defaults={
            "func": "gallery.tasks.sweep",
            "schedule_type": Schedule.MINUTES,
            "minutes": SWEEP_MINUTES,
        },
    )
    Schedule.objects.get_or_create(
        name="Look at links again",
        defaults={
            "func": "gallery.tasks.check_links",
            "schedule_type": Schedule.MINUTES,
            "minutes": SWEEP_MINUTES,
            # It waits for other hosts, and must keep no picture waiting.
            "cluster": "lists",
        },
    )
    Schedule.objects.get_or_create(
        name="Look through what older versions described",
        defaults={
            "func": "gallery.tasks.look_through",
            "schedule_type": Schedule.HOURLY,
            "cluster": "lists",
        },
    )
    Schedule.objects.get_or_create(
        name="Remove files that no row names",
        defaults={
            "func": "gallery.tasks.remove_orphans",
            "schedule_type": Schedule.DAILY,
            "cluster": "lists",
        },
    )

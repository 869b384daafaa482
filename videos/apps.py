from django.apps import AppConfig
from django.db.models.signals import post_migrate

from gallery.shared.schedules import Scheduled, make_schedules


class VideosConfig(AppConfig):
    """Registers videos and schedules the tasks."""

    name = "videos"
    default_auto_field = "django.db.models.BigAutoField"
    schedules = (
        Scheduled("Index what was left over", "videos.tasks.sweep", 1, "video"),
        Scheduled(
            "Index anew what older versions indexed", "videos.tasks.index_older", 60, "video"
        ),
    )

    def ready(self) -> None:
        """Import nothing heavy here: web and worker processes fork afterwards."""
        from gallery.items import kinds

        kinds.register("video", "videos.items.video_kind.VIDEO")
        post_migrate.connect(make_schedules, sender=self)

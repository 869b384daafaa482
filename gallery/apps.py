from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate

from gallery.shared.schedules import Scheduled, make_schedules


class GalleryConfig(AppConfig):
    """Registers images, passes the CLIP settings to the descriptors, and schedules the tasks."""

    name = "gallery"
    default_auto_field = "django.db.models.BigAutoField"
    schedules = (
        Scheduled("Describe what was left over", "gallery.tasks.sweep", 5),
        # This task waits for other hosts, and must not delay pictures.
        Scheduled("Look at links again", "gallery.tasks.check_links", 5, "lists"),
        Scheduled(
            "Look through what older versions described", "gallery.tasks.look_through", 60, "lists"
        ),
        Scheduled(
            "Delete media quarantined long ago", "gallery.tasks.delete_expired_media", 24 * 60
        ),
        Scheduled(
            "Delete vectors of a replaced CLIP model",
            "gallery.tasks.drop_replaced_vectors",
            5,
            "lists",
        ),
        Scheduled("Feed the index", "gallery.tasks.feed_index", 1, "lists"),
        Scheduled("End shared searches", "gallery.tasks.forget_shared_searches", 5),
        Scheduled(
            "Remove files that no row names", "gallery.tasks.remove_orphans", 24 * 60, "lists"
        ),
    )

    def ready(self) -> None:
        """Import nothing heavy here: web and worker processes fork afterwards."""
        from gallery.imaging import decoding, descriptors
        from gallery.items import conf, kinds

        kinds.register("image", "gallery.items.image_kind.IMAGE")
        descriptors.configure(
            models=settings.DATA_DIR / "models",
            clip_model=settings.CLIP_MODEL,
            clip_pretrained=settings.CLIP_PRETRAINED,
            clip_threads=settings.CLIP_THREADS,
        )
        decoding.configure(
            budget_file=conf.decoding_budget_file(),
            memory_bytes=settings.DECODE_MEMORY_BYTES,
        )
        post_migrate.connect(make_schedules, sender=self)

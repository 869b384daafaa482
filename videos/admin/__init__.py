"""The admin of videos. Like the API, it changes data only through the services."""

from videos.admin.videos import VideoAdmin

__all__ = ["VideoAdmin"]

"""The admin of videos: a door like the API, so every write is one call of a service."""

from videos.admin.videos import VideoAdmin

__all__ = ["VideoAdmin"]

"""Adding videos in the admin: a few files and links at once, each with its own outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.core.files.base import File
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from gallery.admin.adding import MAX_URL, FilesField, FilesWidget, Outcome
from gallery.shared.access import Sender
from gallery.shared.errors import Conflict, UserError
from videos.decode.sniffing import ACCEPTED
from videos.items import adding

MAX_VIDEOS = 10


class AddVideosForm(forms.Form):
    """Files, links, or both."""

    files = FilesField(  # type: ignore[assignment]  # Django names its uploads so as well
        required=False,
        widget=FilesWidget(attrs={"accept": "video/*,image/gif,image/webp,image/png,.mkv,.ts"}),
        help_text=f"{ACCEPTED}. You can choose several.",
    )
    urls = forms.CharField(
        required=False,
        label="Links",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "https://…"}),
        help_text="One a line. Each is fetched before this page answers.",
    )
    remark = forms.CharField(
        required=False,
        max_length=10_000,
        empty_value=None,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Noted with each of these videos.",
    )

    def clean_urls(self) -> list[str]:
        """The lines that are not empty."""
        urls = [line.strip() for line in self.cleaned_data["urls"].splitlines() if line.strip()]
        if any(len(url) > MAX_URL for url in urls):
            raise forms.ValidationError(f"A link has at most {MAX_URL} characters.")
        return urls

    def clean(self) -> dict[str, Any]:
        """At least one video, and no more than one request can see through."""
        cleaned = self.cleaned_data
        count = len(cleaned.get("files", [])) + len(cleaned.get("urls", []))
        if not count and not self.errors:
            raise forms.ValidationError("Choose a file or give a link.")
        if count > MAX_VIDEOS:
            raise forms.ValidationError(
                f"These are {count} videos; at most {MAX_VIDEOS} at once. For more, run "
                "manage.py add_videos."
            )
        return cleaned


def add_videos(cleaned: Mapping[str, Any], sender: Sender) -> list[Outcome]:
    """Add each video; one that is refused does not stop the others."""
    common = {"remark": cleaned["remark"], "by": sender.name, "client": sender.client}
    files: Sequence[File] = cleaned["files"]
    urls: Sequence[str] = cleaned["urls"]
    return [
        *(_add(file.name or "unnamed", file=file, **common) for file in files),
        *(_add(url, url=url, **common) for url in urls),
    ]


def _add(name: str, **fields: Any) -> Outcome:
    """``image_id`` of the outcome is the video's id."""
    file = fields.get("file")
    if file is not None and file.size > settings.MAX_VIDEO_BYTES:
        most = settings.MAX_VIDEO_BYTES
        return Outcome(name, problem=f"The file has {file.size} bytes; at most {most} are taken.")
    try:
        return Outcome(name, adding.add_video(**fields).pk)
    except UserError as error:
        existing = error.existing_id if isinstance(error, Conflict) else None
        return Outcome(name, existing, error.message)

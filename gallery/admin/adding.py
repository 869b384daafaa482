"""Adding pictures in the admin: several files and links at once, each with its own outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from gallery.imaging.sniffing import ACCEPTED
from gallery.items import adding
from gallery.items.models import Image
from gallery.shared.access import Sender
from gallery.shared.errors import Conflict, UserError

MAX_PICTURES = 100
MAX_URL = 2048


@dataclass(frozen=True)
class Outcome:
    """The result for one picture. ``image_id``: the new image, or the one stored before."""

    name: str
    image_id: int | None = None
    problem: str = ""


class FilesWidget(UnfoldAdminFileFieldWidget):
    """A file input that takes several."""

    allow_multiple_selected = True
    template_name = "django/forms/widgets/file.html"


class FilesField(forms.FileField):
    """A list of uploads; what their bytes are is found out when they are added."""

    widget = FilesWidget

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        """All of them; Django's own field would take the last one."""
        return list(data or [])


class AddPicturesForm(forms.Form):
    """Files, links, or both."""

    files = FilesField(  # type: ignore[assignment]  # Django names its uploads so as well
        required=False,
        widget=FilesWidget(attrs={"accept": "image/*"}),
        help_text=f"{ACCEPTED}. You can choose several.",
    )
    urls = forms.CharField(
        required=False,
        label="Links",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 5, "placeholder": "https://…"}),
        help_text="One a line.",
    )
    remark = forms.CharField(
        required=False,
        max_length=10_000,
        empty_value=None,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Noted with each of these pictures.",
    )

    def clean_urls(self) -> list[str]:
        """The lines that are not empty."""
        urls = [line.strip() for line in self.cleaned_data["urls"].splitlines() if line.strip()]
        for url in urls:
            if len(url) > MAX_URL:
                raise forms.ValidationError(f"A link has at most {MAX_URL} characters.")
        return urls

    def clean(self) -> dict[str, Any]:
        """At least one picture, and no more than one request can see through."""
        cleaned = self.cleaned_data
        count = len(cleaned.get("files", [])) + len(cleaned.get("urls", []))
        if not count and not self.errors:
            raise forms.ValidationError("Choose a file or give a link.")
        if count > MAX_PICTURES:
            raise forms.ValidationError(
                f"These are {count} pictures; at most {MAX_PICTURES} at once. For more, run "
                "manage.py add_images."
            )
        return cleaned


def add_pictures(cleaned: Mapping[str, Any], sender: Sender) -> list[Outcome]:
    """Add each picture; one that is refused does not stop the others."""
    remark = cleaned["remark"]
    urls: Sequence[str] = cleaned["urls"]
    results = adding.add_batch(
        items=[{"url": url, "remark": remark} for url in urls], by=sender.name, client=sender.client
    )
    return [
        *(_add_file(file, remark, sender) for file in cleaned["files"]),
        *(_outcome(url, result) for url, result in zip(urls, results, strict=True)),
    ]


def _add_file(file: UploadedFile, remark: str | None, sender: Sender) -> Outcome:
    name = file.name or "unnamed"
    size, most = file.size or 0, settings.MAX_UPLOAD_BYTES
    if size > most:  # before it is read into memory
        return Outcome(name, problem=f"The file has {size} bytes; at most {most} are taken.")
    try:
        image = adding.add_image(
            data=file.read(), remark=remark, by=sender.name, client=sender.client
        )
        return _outcome(name, image)
    except UserError as error:
        return _outcome(name, error)


def _outcome(name: str, result: Image | UserError) -> Outcome:
    if isinstance(result, UserError):
        existing = result.existing_id if isinstance(result, Conflict) else None
        return Outcome(name, existing, result.message)
    return Outcome(name, result.pk)

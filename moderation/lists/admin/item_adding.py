"""Add items in the admin: hashes, files, links and gallery rows, all in one form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from gallery.admin.adding import FilesField, FilesWidget
from gallery.items.kinds import kinds
from gallery.shared.errors import Conflict, UserError
from moderation.access.permissions import Actor
from moderation.access.words import word
from moderation.lists import item_adding
from moderation.lists.admin.choices import ListChoiceField
from moderation.lists.models import BannedItem, BannedList

MOST_LINES = 1000
MOST_OTHERS = 50


@dataclass(frozen=True)
class AddedRow:
    """The result for one entry. ``item_id``: the new item, or the one already on the list."""

    name: str
    item_id: int | None = None
    problem: str = ""


class AddItemsForm(forms.Form):
    to = ListChoiceField(
        BannedList.objects.order_by("name"), label=_("List"), widget=UnfoldAdminSelectWidget
    )
    hashes = forms.CharField(
        label=_("Hashes"),
        required=False,
        help_text=_(
            "One item per line: kind and hash, such as sha256 9f86…; for pdq also its quality."
        ),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 5, "spellcheck": "false"}),
    )
    files = FilesField(  # type: ignore[assignment]  # Django names its uploads so as well
        label=_("Files"),
        required=False,
        widget=FilesWidget(),
        help_text=_("Pictures and videos. The page waits until a video is read completely."),
    )
    urls = forms.CharField(
        required=False,
        label=_("Links"),
        help_text=_("A line each."),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2, "spellcheck": "false"}),
    )
    images = forms.CharField(
        label=_("Images"),
        required=False,
        help_text=_("Ids of images of the gallery."),
        widget=UnfoldAdminTextInputWidget,
    )
    videos = forms.CharField(
        label=_("Videos"),
        required=False,
        help_text=_("Ids of videos that are indexed here."),
        widget=UnfoldAdminTextInputWidget,
    )
    source = forms.CharField(
        label=_("Source"),
        required=False,
        max_length=255,
        help_text=_("Their source; empty = your own."),
        widget=UnfoldAdminTextInputWidget,
    )
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=10_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=1000,
        help_text=_("Recorded in the audit."),
        widget=UnfoldAdminTextInputWidget,
    )

    def clean_hashes(self) -> list[tuple[str, str, int | None]]:
        lines = self.cleaned_data["hashes"].splitlines()
        parsed = [_parsed(line) for line in lines if line.strip()]
        if len(parsed) > MOST_LINES:
            raise forms.ValidationError(
                gettext("At most %(most_lines)s lines; import longer lists.")
                % {"most_lines": f"{MOST_LINES:,}"}
            )
        return parsed

    def clean_images(self) -> list[int]:
        return _ids(self.cleaned_data["images"])

    def clean_videos(self) -> list[int]:
        return _ids(self.cleaned_data["videos"])

    def clean_urls(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["urls"].splitlines() if line.strip()]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        others = [
            one for name in ("files", "urls", "images", "videos") for one in cleaned.get(name, [])
        ]
        if len(others) > MOST_OTHERS:
            raise forms.ValidationError(
                gettext("At most %(most_others)s at once besides hashes.")
                % {"most_others": MOST_OTHERS}
            )
        if not others and not cleaned.get("hashes") and not self.errors:
            raise forms.ValidationError(gettext("Give at least one hash, file, link or id."))
        return cleaned


def add_items(cleaned: Mapping[str, Any], *, by: Actor) -> Iterator[AddedRow]:
    """Add everything in the form: all hashes by one command, each other entry by its own."""
    facts = {"source": cleaned["source"], "note": cleaned["note"], "reason": cleaned["reason"]}
    common = {"by": by, "list_id": cleaned["to"].pk, **facts}
    yield from _add_hashes(cleaned, by=by)
    for file in cleaned["files"]:
        yield _attempt(file.name, item_adding.add_file, file=file, **common)
    for url in cleaned["urls"]:
        yield _attempt(url, item_adding.add_link, url=url, **common)
    for kind in kinds():
        for pk in cleaned[f"{kind}s"]:
            yield _attempt(
                f"{word(kind)} {pk}", item_adding.add_stored, kind=kind, item_id=pk, **common
            )


def _add_hashes(cleaned: Mapping[str, Any], *, by: Actor) -> Iterator[AddedRow]:
    if not cleaned["hashes"]:
        return
    said = {"source": cleaned["source"], "note": cleaned["note"]}
    added = item_adding.add_batch(
        by=by,
        list_id=cleaned["to"].pk,
        rows=[{"hashes": [one], **said} for one in cleaned["hashes"]],
        reason=cleaned["reason"],
    )
    made = iter(added.items)
    for position, one in enumerate(cleaned["hashes"]):
        name = f"{one[0]} {one[1]}"
        if position in added.refused:
            yield _refused(name, added.refused[position])
        else:
            yield AddedRow(name, next(made).pk)


def _attempt(name: str, add: Callable[..., BannedItem], **given: Any) -> AddedRow:
    try:
        return AddedRow(name, add(**given).pk)
    except UserError as error:
        return _refused(name, error)


def _refused(name: str, error: UserError) -> AddedRow:
    existing = error.existing_id if isinstance(error, Conflict) else None
    return AddedRow(name, existing, error.message)


def _parsed(line: str) -> tuple[str, str, int | None]:
    words = line.replace(",", " ").split()
    quality = words[2] if len(words) == 3 else None
    if not 2 <= len(words) <= 3 or (quality is not None and not quality.isdecimal()):
        raise forms.ValidationError(
            gettext("This is not a kind and a hash: %(value)s") % {"value": line.strip()[:80]}
        )
    return words[0].lower(), words[1], None if quality is None else int(quality)


def _ids(text: str) -> list[int]:
    words = text.replace(",", " ").split()
    if not all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
        raise forms.ValidationError(gettext("Give ids, separated by spaces."))
    return [int(word) for word in words]

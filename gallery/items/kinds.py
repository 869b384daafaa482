"""The kinds of item, image and video, and what differs between them. Each app registers its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.module_loading import import_string

from gallery.items.item import Item

_paths: dict[str, str] = {}


def _nothing(ids: Sequence[int]) -> None:
    pass


@dataclass(frozen=True)
class ItemKind:
    """What code that handles any item must know about its kind.

    ``contents``: what its bytes are called in messages. ``stored``: what is stored of it beside
    files. ``keep_setting`` names the setting that says which originals are kept.
    ``file_view`` and ``thumbnail_view`` are URL names. ``icon`` stands for an item without
    a thumbnail, ``failed_icon`` for one that failed. ``needs_original(item)``: whether something
    has still to be read from the original file. ``lock_dependents(ids)`` locks the rows that are
    deleted with these items.
    """

    model: type[Item]
    contents: str
    stored: str
    keep_setting: str
    file_view: str
    thumbnail_view: str
    icon: str
    failed_icon: str
    needs_original: Callable[[Any], bool]
    lock_dependents: Callable[[Sequence[int]], None] = _nothing

    @property
    def name(self) -> str:
        """``image`` or ``video``: in the API, in permissions, in tables and in messages."""
        return str(self.model._meta.model_name)

    def rows(self, ids: Iterable[int]) -> QuerySet[Any]:
        return self.model._default_manager.filter(pk__in=ids)

    def count_text(self, count: int) -> str:
        """ "1 image", "2 images"."""
        return f"{count} {self.name}{'' if count == 1 else 's'}"

    def admin_view(self, page: str) -> str:
        """The URL name of one of its admin pages, such as ``change``."""
        return f"admin:{self.model._meta.app_label}_{self.name}_{page}"

    def admin_url(self, page: str, *args: object) -> str:
        return reverse(self.admin_view(page), args=args)


def register(name: str, path: str) -> None:
    """Called by an app that is ready. ``path`` names the ``ItemKind``, imported on first use."""
    _paths[name] = path
    kinds.cache_clear()


@cache
def kinds() -> Mapping[str, ItemKind]:
    """Name → kind, images first: rows of several kinds are locked in this order."""
    return {name: import_string(path) for name, path in sorted(_paths.items())}


def kind_of(item: Item | type[Item]) -> ItemKind:
    return kinds()[str(item._meta.model_name)]

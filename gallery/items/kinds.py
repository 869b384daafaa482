"""The kinds of item, image and video, and their differences. Each app registers its own kind."""

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


def _nothing(_: int | Sequence[int]) -> None:
    pass


@dataclass(frozen=True)
class Words:
    """What pages call items of a kind, in the language of the page.

    ``noun``: one of them. ``only_ready`` and ``only_quarantined``: why others are left out.
    """

    noun: Any
    count: Callable[[int], str]
    numbered: Any
    add: Any
    back: Any
    only_ready: Any
    only_quarantined: Any
    deleted: Any
    too_many: Any
    noted: Any


@dataclass(frozen=True)
class ItemKind:
    """What code that handles any item must know about its kind.

    ``contents``: the word for its bytes in messages.
    ``keep_setting``: the setting that says which originals are kept. ``file_view`` and
    ``thumbnail_view``: URL names. ``icon``: shown for an item without a thumbnail,
    ``failed_icon`` for a failed one. ``needs_original(item)``: whether something must still be
    computed from the original. ``lock_dependents(ids)``: locks the rows that are deleted
    together with these items. ``forget_details(id)``: deletes what a picture could be drawn from.
    """

    model: type[Item]
    words: Words
    contents: str
    keep_setting: str
    file_view: str
    thumbnail_view: str
    icon: str
    failed_icon: str
    needs_original: Callable[[Any], bool]
    lock_dependents: Callable[[Sequence[int]], None] = _nothing
    forget_details: Callable[[int], object] = _nothing

    @property
    def name(self) -> str:
        """``image`` or ``video``, as used in the API, permissions, tables and messages."""
        return str(self.model._meta.model_name)

    def rows(self, ids: Iterable[int]) -> QuerySet[Any]:
        return self.model._default_manager.filter(pk__in=ids)

    def count_text(self, count: int) -> str:
        return self.words.count(count)

    def admin_view(self, page: str) -> str:
        """Return the URL name of an admin page, such as ``change``."""
        return f"admin:{self.model._meta.app_label}_{self.name}_{page}"

    def admin_url(self, page: str, *args: object) -> str:
        return reverse(self.admin_view(page), args=args)


def register(name: str, path: str) -> None:
    """Register a kind. ``path`` is the dotted name of its ``ItemKind``, imported on first use."""
    _paths[name] = path
    kinds.cache_clear()


@cache
def kinds() -> Mapping[str, ItemKind]:
    """Return name → kind, images first: rows of several kinds are locked in this order."""
    return {name: import_string(path) for name, path in sorted(_paths.items())}


def kind_of(item: Item | type[Item]) -> ItemKind:
    return kinds()[str(item._meta.model_name)]

"""The ``ItemKind`` of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.db.models import Q

from gallery.items import embedding
from gallery.items.kinds import ItemKind
from gallery.items.models import DuplicatePair, Image, ImageDetail


def _lock_pairs(ids: Sequence[int]) -> None:
    """Lock the images' duplicate pairs: two users may delete both images of a pair at once."""
    pairs = DuplicatePair.objects.filter(Q(a__in=ids) | Q(b__in=ids))
    list(pairs.order_by("pk").select_for_update().values_list("pk"))


IMAGE: Final = ItemKind(
    model=Image,
    contents="picture",
    stored="vectors",
    keep_setting="KEEP_ORIGINALS",
    file_view="gallery:original",
    thumbnail_view="gallery:thumbnail",
    icon="image",
    failed_icon="broken_image",
    needs_original=lambda image: not embedding.is_described(image),
    lock_dependents=_lock_pairs,
    forget_details=lambda pk: ImageDetail.objects.filter(fingerprint__item=pk).delete(),
)

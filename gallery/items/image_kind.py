"""The ``ItemKind`` of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from gallery.items import embedding
from gallery.items.kinds import ItemKind, Words
from gallery.items.models import DuplicatePair, Image, ImageDetail


def _lock_pairs(ids: Sequence[int]) -> None:
    """Lock the images' duplicate pairs: two users may delete both images of a pair at once."""
    pairs = DuplicatePair.objects.filter(Q(a__in=ids) | Q(b__in=ids))
    list(pairs.order_by("pk").select_for_update().values_list("pk"))


IMAGE: Final = ItemKind(
    model=Image,
    words=Words(
        noun=_("image"),
        count=lambda n: ngettext("%(n)s image", "%(n)s images", n) % {"n": n},
        numbered=_("Image %(id)s"),
        add=_("Add pictures"),
        back=_("Back to the images"),
        only_ready=_("only ready images can be quarantined."),
        only_quarantined=_("only quarantined images can be released."),
        deleted=_(
            "%(items)s would be deleted for good, with vectors and files. This cannot be undone."
        ),
        too_many=_(
            "These are %(n)s pictures; at most %(most)s at once. For more, "
            "run manage.py %(command)s."
        ),
        noted=_("Noted with each of these pictures."),
    ),
    contents="picture",
    keep_setting="KEEP_ORIGINALS",
    file_view="gallery:original",
    thumbnail_view="gallery:thumbnail",
    icon="image",
    failed_icon="broken_image",
    needs_original=lambda image: not embedding.is_described(image),
    lock_dependents=_lock_pairs,
    forget_details=lambda pk: ImageDetail.objects.filter(fingerprint__item=pk).delete(),
)

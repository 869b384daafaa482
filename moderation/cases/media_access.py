"""Who may see withheld or suspicious media, and the proof that a look was recorded.

``settings.MEDIA_GUARD`` names ``GUARD``: the pages and URLs of images and videos ask it. The
console uses the same proof for cases.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.core.signing import BadSignature, TimestampSigner
from django.db.models import Exists, Model, OuterRef, Q

from gallery.imaging.renditions import SAFEST
from gallery.items.item import Item
from gallery.items.media_access import ViewerKind
from gallery.shared.access import Access
from moderation.access.permissions import Actor, can
from moderation.cases import wellbeing
from moderation.cases.models import ReviewCase, ReviewPreference
from moderation.cases.states import CaseState
from moderation.lists.models import BannedHash, BannedItem, BannedList

LOOK_DURATION: Final = timedelta(hours=1)
"""How long one look at a video is valid, pauses included."""


class CaseMediaGuard:
    def viewer_kind(self, access: Access) -> ViewerKind:
        """A reviewer is a person, or a key bound to one, whose role may see media now."""
        user = getattr(access, "user", None)
        if user is None:
            return ViewerKind.CLIENT
        if access.allows("moderate") and can(Actor.caller(access), "see media"):
            return ViewerKind.REVIEWER
        by_page = getattr(access, "via", "") == "session"
        return ViewerKind.STAFF if by_page and user.is_staff else ViewerKind.CLIENT

    def suspect(self, model: type[Item]) -> Q | Exists:
        """Rows with a case that was not dismissed, or whose exact bytes are on an enabled banned
        list."""
        kind = str(model._meta.model_name)
        cases = ReviewCase.objects.filter(**{kind: OuterRef("pk")})
        items = BannedItem.objects.matching().filter(
            list__enabled=True, list__kind=BannedList.Kind.BANNED
        )
        own = [OuterRef(name) for name in ("sha256", "sha1", "md5")]
        banned = BannedHash.objects.filter(~Q(kind="pdq"), value__in=own, item__in=items)
        return Q(Exists(cases.exclude(state=CaseState.DISMISSED))) | Q(Exists(banned))

    def first_filter(self, access: Access) -> str:
        """Return the person's filter, but never clear: nobody decides on these pages."""
        user = getattr(access, "user", None)
        return SAFEST if user is None else first_filter(wellbeing.preference(user))

    def note(self, access: Access, item: Item, what: str) -> str:
        """Record a look and return its proof. Raise ``NotAllowed``."""
        by = Actor.caller(access)
        wellbeing.note_look(by=by, subject=item, what=what)
        return sign_look(by, item)

    def is_noted(self, access: Access, item: Item, look: str) -> bool:
        """Check the proof, and the role again."""
        return self.viewer_kind(access) is ViewerKind.REVIEWER and is_signed_look(
            look, Actor.caller(access), item
        )


GUARD: Final = CaseMediaGuard()


def first_filter(preferred: ReviewPreference) -> str:
    """Return the filter for pages where nobody decides: never clear."""
    clear = preferred.first_filter == ReviewPreference.Filter.CLEAR
    return SAFEST if clear else preferred.first_filter


def sign_look(by: Actor, subject: Model) -> str:
    """Return the proof that this person's look was recorded. Valid for ``LOOK_DURATION``."""
    return _signer().sign_object([by.user.pk, subject._meta.label_lower, subject.pk])


def is_signed_look(look: str, by: Actor, subject: Model) -> bool:
    if not look or by.user is None:
        return False
    try:
        signed = _signer().unsign_object(look, max_age=LOOK_DURATION)
    except BadSignature:
        return False
    return bool(signed == [by.user.pk, subject._meta.label_lower, subject.pk])


def _signer() -> TimestampSigner:
    return TimestampSigner(salt="moderation.looks")

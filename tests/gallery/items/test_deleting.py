"""What is left of a deleted image: its events in the audit, and nothing else."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from gallery.imaging.descriptors import PIXELS
from gallery.items import changing
from gallery.items.models import (
    DuplicatePair,
    DuplicateScan,
    Image,
    ImageDetail,
    ImageFingerprint,
    LinkCheck,
    NotDuplicate,
)
from gallery.search.image_search import ImageQuery, search_images
from gallery.shared.errors import NotFound
from imgsmlr_site.backup.database import count_rows
from tests.factories import BY, add_ready_image, jpeg, owned_files, photo, stored_files

pytestmark = pytest.mark.django_db
DATA = jpeg(photo(1, (400, 300)))


@pytest.fixture
def image() -> Image:
    """One that was described by every descriptor, and has a duplicate."""
    add_ready_image(data=jpeg(photo(1, (400, 300)), quality=60), inline=(*PIXELS, "copy"))
    return add_ready_image(data=DATA, inline=(*PIXELS, "copy"))


@pytest.fixture
def delete(django_capture_on_commit_callbacks: Any) -> Any:
    def run(image: Image) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            changing.delete_items(items=Image.objects.filter(pk=image.pk), by=BY)

    return run


def test_its_vectors_go(image: Image, delete: Any) -> None:
    views = list(ImageFingerprint.objects.filter(item=image).values_list("pk", flat=True))
    assert ImageDetail.objects.filter(fingerprint__in=views).count() >= 2
    delete(image)
    assert not ImageFingerprint.objects.filter(pk__in=views).exists()
    assert not ImageDetail.objects.filter(fingerprint__in=views).exists()


def test_its_original_and_thumbnail_go(image: Image, delete: Any) -> None:
    mine = owned_files(image)
    assert len(mine) == 2
    delete(image)
    left = stored_files(settings.MEDIA_ROOT)
    assert left
    assert not set(mine) & set(left)


def test_no_cached_vector_brings_it_back(image: Image, delete: Any) -> None:
    """Processes keep the vectors of the last pictures by their content; rows alone are found."""

    def found() -> set[int]:
        result = search_images(ImageQuery(data=DATA), match_type="copy", limit=5)
        return {match.image.pk for match in result.matches}

    assert image.pk in found()
    delete(image)
    assert image.pk not in found()
    with pytest.raises(NotFound):
        search_images(ImageQuery(image_id=image.pk), match_type="copy", limit=5)


def test_no_other_table_keeps_anything(delete: Any) -> None:
    other = add_ready_image(data=jpeg(photo(1, (400, 300)), quality=60))
    before = count_rows()
    image = add_ready_image(data=DATA, inline=(*PIXELS, "copy"))
    DuplicateScan.objects.create(image=image, content=1.0)
    DuplicatePair.objects.create(a=other, b=image, confidence=1.0)
    NotDuplicate.objects.create(group=uuid.uuid4(), image=image, together=True)
    LinkCheck.objects.create(image=image, checked_at=timezone.now())
    delete(image)
    after = count_rows()
    grown = {table for table in after if after[table] != before[table]}
    # The audit has its digest, a task in the queue its id, as has what Milvus is to be told.
    assert grown <= {"moderation_auditevent", "django_q_ormq", "gallery_indexchange"}

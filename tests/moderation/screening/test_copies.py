"""Copies of items: what is found is what comparing with every item would find, at this moment."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection
from PIL import Image as Pillow
from PIL import ImageOps

from gallery.imaging import geometry
from gallery.imaging.descriptors import get_copy
from gallery.imaging.descriptors.copy import PART_VIEWS
from gallery.imaging.geometry import GeometricMatch
from gallery.imaging.image_registration import Registration
from gallery.imaging.local_features import LocalFeatures
from gallery.items.vectors import encode
from gallery.search import confidence
from gallery.search.confidence import CopyEvidence
from gallery.search.copy_search import CandidateVerifier, CopyQuery, QueryView
from moderation.lists import (
    index_refresh,
    item_adding,
    item_changing,
    item_reading,
    item_vectors,
    list_writes,
    policies,
)
from moderation.lists.models import BannedFingerprint, BannedItem
from moderation.lists.verdicts import Action
from moderation.screening import copies
from moderation.screening.types import ContentFrame
from tests.factories import WHEEL_PICTURES, jpeg, photo, png, wheel_photo
from tests.moderation.factories import ADMIN, make_list
from tests.moderation.lists.test_banned_hashes import another_process

SHOWN = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png")


def collage(picture: Pillow.Image) -> Pillow.Image:
    page = Pillow.new("RGB", (800, 600))
    page.paste(picture.resize((400, 300)), (400, 0))
    for number, corner in enumerate([(0, 0), (0, 300), (400, 300)]):
        page.paste(photo(900 + number, (400, 300)), corner)
    return page


def half(picture: Pillow.Image) -> Pillow.Image:
    width, height = picture.size
    return picture.crop((width // 8, height // 8, width * 5 // 8, height * 5 // 8))


EDITS = {
    "half": half,
    "turned": lambda picture: picture.rotate(90, expand=True),
    "tilted": lambda picture: picture.rotate(20),
    "mirrored": ImageOps.mirror,
    "framed": lambda picture: ImageOps.expand(picture, 60, (200, 30, 30)),
    "collage": collage,
}


def view_of(picture: Pillow.Image) -> ContentFrame:
    rgb = np.asarray(Pillow.open(io.BytesIO(jpeg(picture))).convert("RGB"))
    return ContentFrame(rgb, rgb, in_parts=True)


def exhaustively(view: ContentFrame, observe: float) -> dict[int, float]:
    """Every item verified, whatever its vector says, and measured by the database."""
    query = get_copy().query(view)
    rows = list(BannedFingerprint.objects.filter(cnn__isnull=False).select_related("item"))
    least: dict[int, dict[bool, float]] = {row.pk: {} for row in rows}
    with connection.cursor() as cursor:
        for name, vector in query.vectors.items():
            cursor.execute(
                "SELECT id, cnn <=> %s::halfvec FROM moderation_bannedfingerprint "
                "WHERE cnn IS NOT NULL",
                [encode(vector)],
            )
            for pk, distance in cursor.fetchall():
                mine = least[pk]
                mine[name in PART_VIEWS] = min(distance, mine.get(name in PART_VIEWS, 2.0))
    by_pk = {row.pk: row for row in rows}
    found = CandidateVerifier[int](
        CopyQuery(QueryView(), query.features, Registration(view.rgb)),
        "copy",
        packed_features=lambda pks: {
            pk: bytes(by_pk[pk].features) for pk in pks if by_pk[pk].features
        },
        pixels=lambda pk: copies._picture_of(by_pk[pk].item),
    ).verify(
        [
            (pk, CopyEvidence(cnn=mine.get(False), part=mine.get(True)))
            for pk, mine in least.items()
        ],
        len(rows),
    )
    distances = {
        by_pk[pk].item_id: round(1.0 - confidence.confidence(evidence, "copy"), 6)
        for pk, evidence in found
    }
    return {item: distance for item, distance in distances.items() if distance <= observe}


@pytest.mark.slow
@pytest.mark.django_db
def test_what_is_found_is_what_verifying_every_item_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    on = make_list()
    pictures = [wheel_photo(name, 320) for name in WHEEL_PICTURES]
    pictures += [photo(seed, (200, 150)) for seed in range(17)]
    made = [item_reading.of_bytes(png(picture), {}) for picture in pictures]
    added = item_adding.add(by=ADMIN, list_id=on.pk, made=made, reason="").items
    # Fewer than there are, so that most items are left out.
    monkeypatch.setattr(copies, "NEAREST_IN_PARTS", 8)
    lists_now = policies.current()
    observe = lists_now[on.pk].thresholds["copy"].near_miss
    missed = []
    for name in SHOWN:
        wanted = added[WHEEL_PICTURES.index(name)].pk
        for edit, make in EDITS.items():
            view = view_of(make(wheel_photo(name)))
            found = {m.item_id: m.distance for m in copies.matches([view], lists_now)}
            expected = exhaustively(view, observe)
            assert found.keys() == expected.keys(), (name, edit)
            # The query's vectors are rounded as stored ones are.
            assert all(abs(found[pk] - expected[pk]) < 1e-3 for pk in found), (name, edit)
            if wanted not in found:
                missed.append((name, edit))
    assert not missed


@pytest.mark.django_db
def test_pictures_that_are_alike_do_not_push_an_item_out(monkeypatch: pytest.MonkeyPatch) -> None:
    on = make_list()
    picture = wheel_photo("coffee.png")
    wanted = item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(picture))
    # A video of which every moment looks a little more like the upload than the item itself.
    upload = view_of(half(picture))
    vector = get_copy().query(upload).vectors["full"]
    video = BannedItem.objects.create(list=on, added_by="test", media=BannedItem.Media.VIDEO)
    BannedFingerprint.objects.bulk_create(
        BannedFingerprint(
            item=video, version="copy-1", view=f"{time} full", time_ms=time, cnn=vector
        )
        for time in range(60)
    )
    monkeypatch.setattr(copies, "NEAREST_IN_PARTS", 2)
    found = copies.matches([upload], policies.current())
    assert {match.item_id for match in found} == {wanted.pk, video.pk}


@pytest.mark.django_db
def test_no_item_is_compared_twice_although_parts_are_looked_at_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on = make_list()
    for name in SHOWN:
        item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(wheel_photo(name, 320)))
    compared: list[tuple[bytes, bytes]] = []
    verify_many, add_parts = geometry.verify_many, copies._FrameSearch.add_parts
    before_parts: list[int] = []

    def counting(query: LocalFeatures, candidates: Sequence[bytes]) -> list[GeometricMatch | None]:
        compared.extend((query.records.tobytes(), candidate) for candidate in candidates)
        return verify_many(query, candidates)

    def noting(search: Any) -> None:
        before_parts.append(len(compared))
        add_parts(search)

    monkeypatch.setattr(geometry, "verify_many", counting)
    monkeypatch.setattr(copies._FrameSearch, "add_parts", noting)
    (match,) = copies.matches([view_of(half(wheel_photo("coffee.png")))], policies.current())
    assert match.within
    assert before_parts[0] > 0
    assert len(set(compared)) == len(compared)


@pytest.fixture
def in_file() -> Iterator[Path]:
    """Where the index file of pictures will be; forgotten at the end."""
    (rows,) = item_vectors.shared()
    yield rows.path()
    rows.path().unlink(missing_ok=True)
    rows.forget()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_changes_of_items_with_pictures_hold_for_the_next_question_elsewhere(
    tmp_path: Path, in_file: Path
) -> None:
    on = list_writes.create_list(by=ADMIN, name="pictures", action=Action.BLOCK)
    other = list_writes.create_list(by=ADMIN, name="others", action=Action.REVIEW)
    item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(photo(5)))
    upload = tmp_path / "upload.jpg"
    upload.write_bytes(jpeg(half(wheel_photo("astronaut.png"))))
    with another_process() as ask:
        assert ask(str(upload)) == ("allow", [])
        item = item_adding.add_picture(
            by=ADMIN, list_id=on.pk, data=png(wheel_photo("astronaut.png"))
        )
        assert ask(str(upload)) == ("block", [item.pk])
        # The file has the item, whatever becomes of it from here on.
        assert index_refresh.refresh(always=True) and in_file.exists()
        assert ask(str(upload)) == ("block", [item.pk])
        chosen = BannedItem.objects.filter(pk=item.pk)
        item_changing.retire(by=ADMIN, items=chosen, reason="test")
        assert ask(str(upload)) == ("allow", [])
        item_changing.activate(by=ADMIN, items=chosen, reason="test")
        assert ask(str(upload)) == ("block", [item.pk])
        item_changing.move(by=ADMIN, items=chosen, list_id=other.pk, reason="test")
        assert ask(str(upload)) == ("review", [item.pk])
        # Behind the services' back, too: nothing has to tell that something changed.
        stored = BannedFingerprint.objects.get(item=item, cnn__isnull=False)
        unlike = get_copy().query(view_of(photo(77))).vectors["full"]
        BannedFingerprint.objects.filter(pk=stored.pk).update(cnn=unlike, features=None)
        assert ask(str(upload)) == ("allow", [])
        stored.save()
        assert ask(str(upload)) == ("review", [item.pk])
        list_writes.change_list(by=ADMIN, list_id=other.pk, enabled=False)
        assert ask(str(upload)) == ("allow", [])
        list_writes.change_list(by=ADMIN, list_id=other.pk, enabled=True)
        item.fingerprints.all().delete()
        assert ask(str(upload)) == ("allow", [])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("harm", ["", "missing", "damaged"])
def test_pictures_in_the_file_and_newer_ones_are_ranked_together(in_file: Path, harm: str) -> None:
    on = make_list()
    for number, name in enumerate(SHOWN):
        if number == 2:
            assert index_refresh.refresh(always=True) >= 2
        item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(wheel_photo(name, 320)))
    if harm == "missing":
        in_file.unlink()
    elif harm == "damaged":
        in_file.write_bytes(in_file.read_bytes()[:-1] + b"\xff")
    pictures = item_vectors.all_of("cnn", "copy-1", [on.pk])
    assert [len(part.numbers) for part in pictures.parts] == ([4] if harm else [2, 2])
    for number, name in enumerate(SHOWN):
        query = get_copy().query(view_of(half(wheel_photo(name))), ["full"])
        by_vector = pictures.distances([query.vectors["full"]])[:, 0]
        by_votes = pictures.votes(query.features)
        assert int(by_vector.argmin()) == int(by_votes.argmax()) == number
        assert by_votes[number] > 4 * np.delete(by_votes, number).max()


@pytest.mark.django_db
def test_what_was_rolled_back_is_forgotten() -> None:
    from django.db import transaction

    on = make_list()
    kept = item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(photo(1)))

    def known() -> set[int]:
        found = item_vectors.all_of("cnn", "copy-1", [on.pk])
        for part in found.parts:
            assert np.allclose(np.linalg.norm(part.vectors, axis=1), 1.0, atol=1e-3)
        return {found.named(at)[1] for at in found.matched(range(len(found)))}

    try:
        with transaction.atomic():
            gone = item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(photo(2)))
            assert known() == {kept.pk, gone.pk}
            raise InterruptedError
    except InterruptedError:
        pass
    later = item_adding.add_picture(by=ADMIN, list_id=on.pk, data=png(photo(3)))
    assert known() == {kept.pk, later.pk}
    nowhere = item_vectors.all_of("cnn", "copy-1", [])
    assert not list(nowhere.matched(range(len(nowhere))))
    assert known() == {kept.pk, later.pk}

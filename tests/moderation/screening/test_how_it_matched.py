"""Pages say in sentences how something matched, and what of it was not compared."""

from __future__ import annotations

import html
from collections.abc import Callable

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from PIL import Image as Pillow
from PIL import ImageOps

from gallery.imaging.decoding.rendered_pictures import describe_rendering, rendering_labels
from moderation.access.permissions import Role
from moderation.cases.models import ReviewCase
from moderation.lists import item_adding
from moderation.lists.models import BannedFingerprint
from tests import bypasses
from tests.factories import add_ready_image, encoded, jpeg, png, wheel_photo
from tests.moderation.factories import ADMIN, make_item, make_list, make_person
from tests.moderation.pipeline.test_gates import pdq_of
from tests.moderation.screening.test_shown_pictures import BANNED, DECOY, FALLING
from tests.shown_files import animated, mirage, noise, veiled
from tests.videos import clips
from videos.index import indexing
from videos.items import adding

pytestmark = pytest.mark.django_db


@pytest.fixture
def moderator(plain_static_files: None) -> Client:
    client = Client()
    client.force_login(make_person(Role.LEAD))
    return client


def pages(client: Client) -> list[str]:
    """The case, the queue, and the admin's list of cases."""
    case = ReviewCase.objects.get()
    addresses = (
        reverse("console:case", args=[case.pk]),
        reverse("console:queue"),
        reverse("admin:moderation_reviewcase_changelist"),
    )
    return [html.unescape(client.get(address).content.decode()) for address in addresses]


def listed(client: Client) -> str:
    address = reverse("admin:moderation_casematch_changelist")
    return html.unescape(client.get(address).content.decode())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: jpeg(BANNED.rotate(6)), "It looks like an edited copy: turned 6°."),
        (lambda: jpeg(ImageOps.invert(BANNED)), "It looks like an edited copy: negative."),
        (lambda: png(mirage(DECOY, BANNED)), "What matched is the picture over black."),
        (lambda: png(veiled(BANNED, DECOY)), "What matched is the picture as colour alone."),
        (
            lambda: encoded(BANNED, "JPEG", icc_profile=FALLING),
            "What matched is the picture without its colour profile.",
        ),
    ],
)
def test_a_match_says_how(make: Callable[[], bytes], sentence: str, moderator: Client) -> None:
    make_item(make_list(), ("pdq", pdq_of(BANNED), 100))
    add_ready_image(data=make())
    for page in [*pages(moderator), listed(moderator)]:
        assert sentence in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "sentence", "button"),
    [
        (bypasses.mpo, "What matched is picture 1 in the file.", "Picture 1 in the file"),
        (
            bypasses.exif_thumbnail,
            "What matched is the preview in the file.",
            "Preview in the file",
        ),
        (bypasses.motion_photo, "What matched is the video in the photo.", "Video in the photo"),
    ],
)
def test_another_picture_of_the_file_is_named_and_shown(
    make: Callable[[], bytes], sentence: str, button: str, moderator: Client
) -> None:
    make_item(make_list(), ("pdq", pdq_of(bypasses.banned()), 90))
    add_ready_image(data=make())
    page, queue, _ = pages(moderator)
    assert sentence in page and sentence in queue
    assert f'aria-pressed="true">{button} · match</button>' in page
    # What is shown at first is what matched.
    address = page.partition('data-pane="subject" data-place="')[2].partition('"')[0]
    case = ReviewCase.objects.get()
    shown = moderator.get(reverse("console:subject", args=[case.pk, "grey"]) + address)
    assert shown.status_code == 200


def test_each_way_to_show_what_is_transparent_has_a_button(moderator: Client) -> None:
    make_item(make_list(), ("pdq", pdq_of(BANNED), 100))
    image = add_ready_image(data=png(mirage(DECOY, BANNED)))
    page = pages(moderator)[0]
    facts = moderator.get(reverse("admin:gallery_image_change", args=[image.pk])).content.decode()
    for label in ("Over white", "Over black", "As colour alone"):
        assert f">{label}" in page
        assert f">{label}</button>" in facts


def test_the_buttons_of_a_link_are_not_those_of_the_stored_file(moderator: Client) -> None:
    """Such a case is about what the link holds now, of which one picture is kept."""
    make_item(make_list(), ("pdq", pdq_of(BANNED), 100))
    add_ready_image(data=png(mirage(DECOY, BANNED)))
    assert "data-rendering" in pages(moderator)[0]
    ReviewCase.objects.update(origin=ReviewCase.Origin.LINK)
    assert "data-rendering" not in pages(moderator)[0]


def test_a_plain_match_says_no_more(moderator: Client) -> None:
    make_item(make_list(), ("pdq", pdq_of(BANNED), 100))
    add_ready_image(data=jpeg(BANNED))
    said = ("What matched is", "It looks like", "were compared")
    for page in [*pages(moderator), listed(moderator)]:
        assert not any(words in page for words in said)


@pytest.mark.slow
def test_what_was_compared_in_part_is_said(moderator: Client) -> None:
    item_adding.add_picture(
        by=ADMIN, list_id=make_list().pk, data=png(wheel_photo("astronaut.png", 320))
    )
    crop = wheel_photo("astronaut.png", 320).crop((40, 30, 270, 260)).resize((160, 160))
    frames = [crop, *(noise(seed, (160, 160)) for seed in range(64))]
    times = [5000, *([20] * 64)]
    add_ready_image(data=animated(frames, "WEBP", duration=times, quality=90))
    for page in pages(moderator):
        assert "By copy only 64 of 65 pictures were compared." in page


def test_what_could_not_be_compared_is_said(moderator: Client) -> None:
    item_adding.add_picture(by=ADMIN, list_id=make_list().pk, data=png(BANNED))
    BannedFingerprint.objects.filter(cnn__isnull=False).update(version="another")
    add_ready_image(data=encoded(DECOY, "JPEG", icc_profile=FALLING))
    for page in pages(moderator):
        assert (
            "It could not be compared by copy: Items of the lists are described by another copy "
            "model." in page
        )
        assert "Its colours are in doubt: Its colour profile makes bright" in page


def test_what_could_not_be_read_is_said(moderator: Client) -> None:
    make_item(make_list(), ("pdq", pdq_of(BANNED), 100))
    cut = animated([DECOY, *(noise(seed, DECOY.size) for seed in range(3))], "GIF", duration=90)
    add_ready_image(data=cut[: len(cut) * 2 // 3])
    for page in pages(moderator):
        assert "Not all of its pictures could be read: " in page


def test_every_rendering_has_words() -> None:
    assert describe_rendering("picture-2 black") == "picture 2 in the file over black"
    assert describe_rendering("stream 2 colour") == "video track 2 as colour alone"
    assert describe_rendering("section-3") == "section 3 of the picture"
    assert describe_rendering("inverted strips-1") == (
        "the picture with its inks inverted taken apart in strips (1)"
    )
    assert rendering_labels(["", "unconverted"]) == ["Usual", "Without its colour profile"]
    assert rendering_labels(["", "section-3"]) == ["Usual", "Section 3"]


def test_where_the_screen_of_a_video_shows_an_item() -> None:
    """Between bars: the part without them was compared, the whole frame is shown to people."""
    frames = list(clips.moving("astronaut", 3, rate=10, end=(0.3, 0.3, 0.6)))
    picture = png(Pillow.fromarray(frames[10]))
    item_adding.add_picture(by=ADMIN, list_id=make_list().pk, data=picture)
    between_bars = [np.pad(frame, ((50, 50), (0, 0), (0, 0))) for frame in frames]
    file = ContentFile(clips.encode(clips.timed(between_bars, rate=10)))
    video = adding.add_video(file=file, by="tests")
    indexing.index_videos([video.pk])
    case = ReviewCase.objects.get(video=video)
    for match in case.matches.all():
        shown = match.geometry
        heights = [y for _, y in shown["query_region"]]
        assert 0.17 < min(heights) < max(heights) < 0.83
        assert shown["query_box"][1::2] == pytest.approx([min(heights), max(heights)], abs=0.01)
    assert case.matches.exists()

"""What the pages of a service show in pictures: media, cases, decisions, notices, exchanges.

All of it is made by the product itself from photographs that nobody minds: uploads are edited
copies of what is on lists, and pass the gate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from django.core.files.base import ContentFile
from django.utils import timezone
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter, ImageOps

from gallery.items.item import Status
from moderation.access.permissions import Actor, Role
from moderation.cases import deciding, golden
from moderation.cases.models import ReviewCase
from moderation.lists import item_adding
from moderation.lists.verdicts import Severity
from moderation.reports import notices
from tests import factories as pictures
from tests.browser import exchanges, test_import_pages, test_lists_pages
from tests.moderation import factories as make
from tests.moderation.recorded import record_a_tale
from tests.videos import clips, library
from videos.items import adding
from videos.models import Video

CONSOLE = "/admin/moderation/console/"
LISTS = {
    "Cats of the neighbour": (Severity.HIGH, ("chelsea",)),
    "Industry hashes": (Severity.CRITICAL, ("immunohistochemistry", "retina")),
    "Space programme": (Severity.MEDIUM, ("astronaut", "hubble_deep_field", "rocket")),
}


def gallery() -> None:
    """Pictures and videos that can be found."""
    for name, remark in (("coffee", "A cup of coffee"), ("coins", "Coins of Pompeii")):
        picture = of(name)
        pictures.add_ready_image(picture, data_id=f"shop-{name}", remark=remark)
    cut = [frame for name in ("coffee", "grass", "coins") for frame in shot(name)]
    video(clips.encode(clips.timed(cut, rate=10)), remark="Holiday, first cut")
    advert = [frame for name in ("brick", "coffee") for frame in shot(name)]
    video(clips.encode(clips.timed(advert, rate=10)), remark="Advertisement")


def video(data: bytes, **fields: str) -> Video:
    """A video that the service has indexed."""
    added = adding.add_video(file=ContentFile(data), by="key:shop", **fields)
    while added.status == Status.PENDING:
        time.sleep(0.5)
        added.refresh_from_db()
    return added


def of(name: str) -> Pillow.Image:
    return Pillow.fromarray(clips.photograph(name))


def shot(name: str) -> list[clips.Pixels]:
    return list(clips.moving(name, 4, rate=10, size=(640, 360)))


def clip() -> bytes:
    """Of the videos of ``gallery``: the end of a shot, seen in a mirror."""
    return clips.encode(
        clips.timed([library.mirrored(one) for one in shot("coffee")[12:]], rate=10)
    )


def cases(lead: Actor) -> dict[str, str]:
    """Lists, and uploads that match them. Return name → path of pages about them."""
    for name, (severity, photographs) in LISTS.items():
        on = make.make_list(name, severity=severity)
        for photograph in photographs:
            item_adding.add_picture(
                by=make.ADMIN,
                list_id=on.pk,
                data=pictures.png(of(photograph)),
                source="a partner",
            )
    number = 1040
    for _, photographs in LISTS.values():
        for photograph in photographs:
            for edited in edits(of(photograph)):
                pictures.add_ready_image(
                    edited, data_id=f"post-{number}", uploader=f"user {number % 4}"
                )
                number += 1
    copy = clips.encode(clips.timed([library.mirrored(one) for one in shot("rocket")], rate=10))
    banned = video(clips.encode(clips.timed(shot("rocket"), rate=10)))
    on = make.make_list("Videos of launches")
    item_adding.add_stored(by=make.ADMIN, list_id=on.pk, kind="video", item_id=banned.pk)
    video(copy, data_id="post-1090", uploader="user 2")
    tuned = make.make_list("Violent extremism")
    record_a_tale(tuned)
    # Of their uploads there is nothing to see.
    ReviewCase.objects.filter(state="open", matches__list=tuned).delete()
    sticker = ReviewCase.objects.get(image__data_id="post-1040").pk
    some = list(
        ReviewCase.objects.filter(state="open").order_by("-pk").values_list("pk", flat=True)
    )
    deciding.decide(by=lead, case_ids=some[8:10], verb="dismiss", note="A laboratory.")
    golden.add(by=lead, case_id=some[8])
    moving = ReviewCase.objects.filter(video__isnull=False).latest("pk").pk
    return {
        "case": f"{CONSOLE}cases/{sticker}/",
        "case-of-a-video": f"{CONSOLE}cases/{moving}/",
        "threshold": f"{CONSOLE}thresholds/{tuned.pk}/pdq/",
        "case-decided": f"{CONSOLE}cases/{some[8]}/",
    }


def edits(picture: Pillow.Image) -> Iterator[Pillow.Image]:
    """What people do to a picture that was banned."""
    wide, high = picture.size
    told = picture.copy()
    place = [0.08 * wide, 0.66 * high, 0.5 * wide, 0.84 * high]
    drawing = ImageDraw.Draw(told)
    drawing.rectangle(place, fill="white", outline="black", width=max(2, wide // 100))
    words = (place[0] + 0.04 * wide, place[1] + 0.05 * high)
    drawing.text(words, "NOT THIS", fill="black", font_size=high // 12)
    yield ImageOps.mirror(told.crop((0, high // 10, int(0.92 * wide), high))).rotate(
        90, expand=True
    )
    yield ImageOps.expand(picture, wide // 8, "white")
    yield picture.filter(ImageFilter.GaussianBlur(3)).resize((wide // 2, high // 2))
    yield picture.crop((wide // 6, high // 6, wide, high))


def reports(lead: Actor) -> dict[str, str]:
    """A person's notice, a statement with an appeal, a draft for the CyberTipline."""
    photo = of("page")
    image = pictures.add_ready_image(photo, data_id="post-2001", uploader="user 3")
    notice = notices.receive(
        by=Actor.machine("page"), reason="intimate", statement="It shows me. I never agreed to it.",
        name="Ada Lovelace", email="ada@example.org", data=pictures.jpeg(photo),
    )  # fmt: skip
    decided = [case.pk for case in notice.cases.all()]
    deciding.decide(by=lead, case_ids=decided, verb="confirm")
    second = of("text")
    pictures.add_ready_image(second, data_id="post-2002")
    notices.receive(
        by=Actor.machine("page"), reason="child", statement="Please look at this.",
        name="Grace Hopper", email="grace@example.org", data=pictures.jpeg(second),
    )  # fmt: skip
    case = image.cases.get()
    return {
        "notice": f"{CONSOLE}notices/{notice.pk}/",
        "notice-form": "/notices/",
        "statement": f"/statements/{case.statement.token}/",
        "case-with-a-notice": f"{CONSOLE}cases/{case.pk}/",
        "cybertip": f"{CONSOLE}cases/{case.pk}/cybertip/",
    }


def lists() -> dict[str, str]:
    """Lists, imports, webhooks and exchanges as their tests have them."""
    makers: tuple[Callable[[], dict[str, str]], ...] = (
        test_lists_pages.make_pages, test_import_pages.make_pages, exchanges.make_pages,
    )  # fmt: skip
    return {name: path for make_pages in makers for name, path in make_pages().items()}


def people() -> Actor:
    """Somebody of each role. Return the lead."""
    made = {role: make.make_person(role, name) for role, name in (
        (Role.VIEWER, "vera"), (Role.MODERATOR, "ann"), (Role.LEAD, "lee"),
    )}  # fmt: skip
    for user in made.values():
        user.last_login = timezone.now()
        user.save()
    return Actor.person(made[Role.LEAD])

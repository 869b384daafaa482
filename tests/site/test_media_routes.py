"""Every address that sends media × who asks × the state of what is asked for.

The addresses are read from the URL configuration: one that is neither in ``GALLERY`` or
``CONSOLE`` nor in ``SENDS_NONE`` fails here until somebody says which it is.
"""

from __future__ import annotations

import io
import ipaddress
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from PIL import Image as Pillow

from gallery.imaging.descriptors import PIXELS
from gallery.items.models import Image
from imgsmlr_site.models import ApiKey
from moderation.access.permissions import Role
from moderation.audit.models import AuditEvent
from moderation.cases import wellbeing
from moderation.cases.models import CaseMatch, Exposure, ReviewCase
from moderation.lists.models import BannedItem
from tests import factories as pictures
from tests.moderation import factories as make
from tests.videos import library
from tests.videos.clips import encode, still, timed
from videos.models import Video

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clips_are_read_once")]

GALLERY = {"gallery:original", "gallery:thumbnail", "video-file", "video-frame", "video-thumbnail"}
"""What everybody is sent who may see it."""
CONSOLE = {
    "console:subject", "console:item", "console:item-picture", "console:match-picture",
    "console:play", "console:video", "console:packet", "case-packet",
}  # fmt: skip
"""What is made for moderators alone: each address says itself how clear it is."""
SENDS_NONE = set(
    """
    api-root batch batch-undo case case-appeal case-statement case-claim case-decide case-legal-hold
    case-legal-hold-lift case-next case-release cases cases-decide change-confirm change-refuse
    changes check check-batch console:batch console:bulk console:case console:decide
    console:decisions-csv console:gates console:golden console:grid console:legal-hold console:next
    console:cybertip console:notice console:notices console:transparency
    console:transparency-file
    console:preferences console:presence console:queue console:release console:scan
    console:second-opinions console:skip console:threshold console:threshold-preview
    console:thresholds console:undo console:undo-last
    decisions-csv deliveries docs enter gallery:legacy-add gallery:legacy-search gallery:search
    gallery:table-csv gate-mastodon gate-pict-rs gate-s3 global-search healthz image image-batch
    image-compare exchange exchange-ask exchange-pull exchange-pulls exchange-undo exchanges
    import-undo notice-contact notice-item
    image-search images import import-bad-rows import-confirm import-discard imports list
    list-export list-item list-item-batch list-items shared-search shared-searches
    shared-video-searches
    list-items-activate list-items-move list-items-opinion list-items-retire list-method
    list-threshold lists metrics moderation-dashboard notice notice-form notice-status notices
    operations readyz schema script-texts set_language statement statistics
    status video video-search video-similar videos webhook webhook-secret webhook-test webhooks
    webhooks-try-again
    account_inactive account_login account_reauthenticate mfa_activate_totp mfa_authenticate
    mfa_deactivate_totp mfa_download_recovery_codes mfa_generate_recovery_codes mfa_index
    mfa_reauthenticate mfa_view_recovery_codes openid_connect_callback openid_connect_login
    password_reset_invitation password_reset_welcome
    """.split()  # noqa: SIM905  # a table, a name a cell
) | {"None"}
"""Pages, JSON and CSV, which may name addresses of media but hold none of it."""
ADMIN_SENDS_NONE = set(
    """
    None app_list auth_user_invite autocomplete gallery_image_batch index jsi18n login logout
    moderation_auditevent_export
    moderation_listimport_bad_rows
    moderation_listimport_confirm moderation_listimport_discard moderation_listimport_export
    moderation_listimport_retry moderation_listimport_undo
    moderation_exchange_ask moderation_exchange_feedback moderation_exchange_pull
    moderation_exchange_undo
    moderation_webhook_secret moderation_webhook_test password_change_done search
    videos_video_batch videos_video_duplicates view_on_site
    """.split()  # noqa: SIM905
)
OF_EVERY_ADMIN = ("_changelist", "_add", "_change", "_delete", "_history")
STATES = ("ready", "doubted", "pending", "quarantined")
WHO = ("nobody", "open", "viewer", "moderator")
DIFFERENT = 12.0
"""Mean difference of grey values from which on two pictures are not alike at all."""


def routes(patterns: Any = None, prefix: str = "", space: str = "") -> Iterator[tuple[str, str]]:
    """(name, path) of each address."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else space
            yield from routes(pattern.url_patterns, path, inner)
        elif isinstance(pattern, URLPattern):
            yield f"{space}{pattern.name}", path


@pytest.fixture
def image(db: None) -> Image:
    return pictures.add_ready_image(pictures.wheel_photo("coffee.png"))


@pytest.fixture
def video(db: None) -> Video:
    return library.add_ready(encode(timed(still("astronaut", 2))))


def set_state(row: Any, state: str) -> None:
    if state == "doubted":
        item = make.make_item(make.make_list())
        make.make_case(item, **{str(row._meta.model_name): row})
    else:
        type(row).objects.filter(pk=row.pk).update(status=state)


def caller(who: str, settings: Any) -> Client:
    client = Client()
    if who == "open":
        settings.OPEN_API = (ipaddress.ip_network("127.0.0.0/8"),)
    elif who != "nobody":
        client.force_login(make.make_person(Role[who.upper()], f"a-{who}"))
    return client


def expected(who: str, state: str) -> str:
    if who == "nobody":
        return "forbidden"
    if state == "ready":
        return "clear"
    if who == "moderator":
        return "blurred"
    if state == "doubted":
        return "clear" if who == "open" else "blurred"
    return "forbidden"


def body_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def grey(data: bytes) -> Any:
    picture = Pillow.open(io.BytesIO(data)).convert("L").resize((64, 64))
    return np.asarray(picture, np.float32)


def looks() -> tuple[int, list[tuple[str, str, str]]]:
    count = sum(Exposure.objects.values_list("count", flat=True))
    events = AuditEvent.objects.filter(verb=wellbeing.SEEN).order_by("id")
    return count, [(one.actor, one.subject, one.after["what"]) for one in events]


def test_every_address_that_sends_media_is_in_the_table() -> None:
    names = {name for name, _ in routes()}
    admin = {name for name in names if name.startswith("admin:")}
    own = {name.removeprefix("admin:") for name in admin if not name.endswith(OF_EVERY_ADMIN)}
    assert names - admin - SENDS_NONE == GALLERY | CONSOLE, "say whether it sends media; test it"
    assert own == ADMIN_SENDS_NONE


IMAGE_ROUTES = {"gallery:original": "original", "gallery:thumbnail": "thumbnail"}
VIDEO_ROUTES = {
    "video-thumbnail": "thumbnail",
    "video-frame": "frame at 0 ms",
    "video-file": "video",
}


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("who", WHO)
def test_who_is_sent_what_of_an_image(image: Image, settings: Any, who: str, state: str) -> None:
    check_routes(image, IMAGE_ROUTES, settings, who, state)


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("who", WHO)
def test_who_is_sent_what_of_a_video(video: Video, settings: Any, who: str, state: str) -> None:
    check_routes(video, VIDEO_ROUTES, settings, who, state)


def check_routes(row: Any, names: dict[str, str], settings: Any, who: str, state: str) -> None:
    addresses = {name: reverse(name, args=[row.pk]) for name in names}
    admin = Client()
    admin.force_login(User.objects.create_superuser("root", password="x"))
    truth = {name: body_of(admin.get(address)) for name, address in addresses.items()}
    set_state(row, state)
    client, wanted = caller(who, settings), expected(who, state)
    for name, address in addresses.items():
        answer = client.get(address)
        if wanted == "forbidden":
            assert answer.status_code in (401, 404), (name, answer.status_code)
            assert client.get(f"{address}?clear=1").status_code in (401, 404)
            continue
        assert answer.status_code == 200, name
        assert {"private", "no-store"} <= set(answer["Cache-Control"].split(", "))
        body = body_of(answer)
        if wanted == "clear":
            assert body == truth[name], name
            assert body_of(client.get(f"{address}?clear=1")) == truth[name]
            continue
        assert answer["Content-Type"] == "image/jpeg", name
        assert answer["X-Rendition"] == "blur"
        assert body != truth[name]
        picture = truth["video-thumbnail"] if name == "video-file" else truth[name]
        assert np.abs(edges(grey(body)) - edges(grey(picture))).mean() > 4, "no shape is left"
        assert looks() == (0, [])
    if wanted == "blurred":
        check_clear(row, names, client, who, truth)
    else:
        assert looks() == (0, []), "what is published is no look"


def edges(values: Any) -> Any:
    return np.abs(np.diff(values, axis=0))[:, :-1] + np.abs(np.diff(values, axis=1))[:-1]


def check_clear(
    row: Any, names: dict[str, str], client: Client, who: str, truth: dict[str, bytes]
) -> None:
    noted = []
    for name, what in names.items():
        address = f"{reverse(name, args=[row.pk])}?clear=1"
        answer = client.get(address, follow=True)
        if who != "moderator":
            assert answer.status_code == 403
            continue
        assert answer.status_code == 200
        body = body_of(answer)
        assert body == truth[name] or np.abs(grey(body) - grey(truth[name])).mean() < 3
        assert {"private", "no-store"} <= set(answer["Cache-Control"].split(", "))
        noted.append(("user:a-moderator", row._meta.label_lower, what))
        assert looks() == (len(noted), noted)
        assert (
            client.get(address, headers={"sec-fetch-site": "cross-site"})["X-Rendition"] == "blur"
        )
        assert looks() == (len(noted), noted), "no page of another site opens anything"
    assert len(noted) == (len(names) if who == "moderator" else 0)


def test_a_look_at_a_video_is_noted_once_whatever_parts_are_read(video: Video) -> None:
    set_state(video, "quarantined")
    ann, bob = Client(), Client()
    ann.force_login(make.make_person(Role.MODERATOR, "ann"))
    bob.force_login(make.make_person(Role.MODERATOR, "bob"))
    whole = video.original.open("rb").read()
    address = reverse("video-file", args=[video.pk])
    link = ann.get(f"{address}?clear=1")["Location"]
    for start, stop in ((0, 1), (0, 100), (50, 200)):
        part = ann.get(link, headers={"range": f"bytes={start}-{stop - 1}"})
        assert (part.status_code, body_of(part)) == (206, whole[start:stop])
    assert looks()[0] == 1
    assert bob.get(link)["X-Rendition"] == "blur", "a look of somebody else"
    other = library.add_ready(encode(timed(still("coins", 2))))
    set_state(other, "quarantined")
    elsewhere = link.replace(f"/{video.pk}/", f"/{other.pk}/")
    assert ann.get(elsewhere)["X-Rendition"] == "blur", "a look at another video"
    assert ann.get(f"{address}?look=x", headers={"range": "bytes=0-9"})["X-Rendition"] == "blur"
    small = ann.get(f"{address}?clear=1&small=1", follow=True)
    assert body_of(small) == video.proxy.open("rb").read()
    assert looks()[0] == 2
    User.objects.get(username="ann").groups.clear()
    assert ann.get(link).status_code == 404, "the role is asked each time"


def test_what_is_gone_is_no_look(image: Image, video: Video) -> None:
    ann = Client()
    ann.force_login(make.make_person(Role.MODERATOR))
    for row, name, stored in (
        (image, "gallery:original", image.original),
        (video, "video-file", video.original),
    ):
        set_state(row, "quarantined")
        stored.storage.delete(stored.name)
        answer = ann.get(f"{reverse(name, args=[row.pk])}?clear=1")
        assert answer.status_code == 404
    assert looks() == (0, [])


@pytest.mark.parametrize(
    ("role", "bound", "wanted"),
    [
        (Role.MODERATOR, True, "blurred"),
        (Role.VIEWER, True, "forbidden"),
        (Role.NOBODY, True, "forbidden"),
        (Role.LEAD, False, "forbidden"),
    ],
)
def test_a_key_sees_what_its_person_may(image: Image, role: Role, bound: bool, wanted: str) -> None:
    user = make.make_person(role, "a-person")
    scopes = ["search", "lists", *(["moderate"] if bound else [])]
    _, text = ApiKey.issue(name="loader", scopes=scopes, user=user if bound else None)
    set_state(image, "quarantined")
    address = reverse("gallery:original", args=[image.pk])
    headers = {"authorization": f"Bearer {text}"}
    answer = Client().get(address, headers=headers)
    clear = Client().get(f"{address}?clear=1", headers=headers)
    if wanted == "forbidden":
        assert (answer.status_code, clear.status_code, looks()) == (404, 404, (0, []))
        return
    assert answer["X-Rendition"] == "blur"
    assert body_of(clear) == image.original.open("rb").read()
    assert looks() == (1, [("key:loader", "gallery.image", "original")])
    assert Exposure.objects.get().user == user


def test_the_very_bytes_of_a_listed_item_are_doubted(image: Image) -> None:
    ann = Client()
    ann.force_login(make.make_person(Role.MODERATOR))
    address = reverse("gallery:thumbnail", args=[image.pk])
    item = make.make_item(make.make_list(), ("md5", image.md5))
    assert ann.get(address)["X-Rendition"] == "blur"
    BannedItem.objects.filter(pk=item.pk).update(opinion=BannedItem.Opinion.FALSE_POSITIVE)
    assert "X-Rendition" not in ann.get(address)


def test_a_dismissed_case_leaves_nothing_blurred(image: Image) -> None:
    ann = Client()
    ann.force_login(make.make_person(Role.MODERATOR))
    address = reverse("gallery:thumbnail", args=[image.pk])
    set_state(image, "doubted")
    assert ann.get(address)["X-Rendition"] == "blur"
    ReviewCase.objects.update(state="dismissed", decided_at=timezone.now())
    assert "X-Rendition" not in ann.get(address)


def test_one_sees_first_what_one_prefers_but_never_all(image: Image) -> None:
    user = make.make_person(Role.MODERATOR)
    ann = Client()
    ann.force_login(user)
    set_state(image, "quarantined")
    for preferred, step in (("grey", "grey"), ("lines", "lines"), ("clear", "blur")):
        wellbeing.set_preference(
            by=make.Actor.person(user), first_filter=preferred, break_after=100
        )
        assert ann.get(reverse("gallery:original", args=[image.pk]))["X-Rendition"] == step
    assert looks()[0] == 0


@pytest.mark.parametrize("who", WHO)
def test_the_console_sends_media_to_moderators_alone(image: Image, settings: Any, who: str) -> None:
    item = make.make_item(make.make_list())
    item.picture.save("items/1.jpg", ContentFile(pictures.jpeg(pictures.photo(2, (640, 480)))))
    case = make.make_case(item, image, held=True)
    set_state(image, "quarantined")
    match = CaseMatch.objects.get()
    addresses = {
        "subject": ("console:subject", [case.pk]),
        f"item {item.pk}": ("console:item", [case.pk, match.pk]),
        "picture": ("console:item-picture", [item.pk]),
    }
    client, noted = caller(who, settings), []
    for what, (name, args) in addresses.items():
        blur, clear = (client.get(reverse(name, args=[*args, step])) for step in ("blur", "clear"))
        if who != "moderator":
            assert {blur.status_code, clear.status_code} <= {302, 403}, (name, who)
            continue
        shapes = [edges(grey(body_of(answer))) for answer in (blur, clear)]
        assert np.abs(shapes[0] - shapes[1]).mean() > 4
        about = "moderation.banneditem" if what == "picture" else "moderation.reviewcase"
        noted.append(("user:a-moderator", about, what))
        assert looks() == (len(noted), noted)
    shown = reverse("console:match-picture", args=[match.pk, "clear"])
    assert client.get(shown).status_code == (404 if who == "moderator" else blur.status_code)
    packet = client.get(reverse("console:packet", args=[case.pk]) + "?media=1")
    assert packet.status_code in (302, 403), "an admin exports media"
    assert looks() == (len(noted), noted)


def two_faced() -> bytes:
    """A PNG: rings over white, a checked board over black, and a third picture as colour alone."""
    y, x = np.mgrid[:128, :128]
    rings = (np.sin(np.hypot(x - 64, y - 64) / 3) > 0) * 255
    alpha = np.where(rings, 30, 225).astype(np.uint8)
    board = (((x // 8) + (y // 8)) % 2 * 200).astype(np.uint8)
    return pictures.png(Pillow.fromarray(np.dstack([board, board, board, alpha])))


def test_each_way_in_which_viewers_show_a_picture_is_blurred_until_cleared(db: None) -> None:
    image = pictures.add_ready_image(data=two_faced())
    case = make.make_case(make.make_item(make.make_list()), image, held=True)
    CaseMatch.objects.update(geometry={"rendering": "black"})
    set_state(image, "quarantined")
    lead = Client()
    lead.force_login(User.objects.create_superuser("root", password="x"))
    page = lead.get(reverse("console:case", args=[case.pk])).content.decode()
    shown = reverse("console:subject", args=[case.pk, "blur"])
    assert f'src="{shown}?r=black"' in page, "the rendering that matched is shown first"
    for name in ("", "?r=black", "?r=colour"):
        assert f'data-rendering="{name}"' in page
    facts = lead.get(reverse("admin:gallery_image_change", args=[image.pk])).content.decode()
    assert 'data-rendering="colour"' in facts
    seen = []
    original = reverse("gallery:original", args=[image.pk])
    with image.original.open("rb") as stream:
        rgba = np.asarray(Pillow.open(stream).convert("RGBA"), np.float32)
    alpha = rgba[..., 3] / 255
    truth = {
        "black": rgba[..., 0] * alpha,
        "colour": rgba[..., 0],
    }
    for name, values in truth.items():
        blur, clear = (lead.get(f"{original}?rendering={name}{more}") for more in ("", "&clear=1"))
        drawn = np.asarray(Pillow.open(io.BytesIO(clear.content)).convert("L"), np.float32)
        assert np.abs(drawn - values).mean() < 10, name
        assert np.abs(edges(grey(blur.content)) - edges(grey(clear.content))).mean() > 4
        seen.append(("user:root", "gallery.image", f"original, {name}"))
        in_case = lead.get(reverse("console:subject", args=[case.pk, "clear"]) + f"?r={name}")
        assert np.abs(grey(in_case.content) - grey(clear.content)).mean() < 3
        seen.append(("user:root", "moderation.reviewcase", "subject"))
        assert looks() == (len(seen), seen)
    assert lead.get(f"{original}?rendering=none").status_code == 404


@pytest.mark.parametrize("address", ["console:packet", "case-packet"])
def test_each_picture_of_a_packet_is_a_look(image: Image, address: str) -> None:
    item = make.make_item(make.make_list())
    item.picture.save("items/1.jpg", ContentFile(pictures.jpeg(pictures.photo(2))))
    case = make.make_case(item, image, held=True)
    set_state(image, "quarantined")
    client, user = Client(), make.make_person(Role.ADMIN, "root")
    headers = {}
    if address == "console:packet":
        client.force_login(user)
    else:
        _, text = ApiKey.issue(name="k", scopes=["moderate"], user=user)
        headers = {"X-API-Key": text}
    asked = {"media": "1" if address == "console:packet" else "true"}
    url = reverse(address, args=[case.pk])
    client.get(url, headers=headers)
    foreign = client.get(url, asked, headers={**headers, "Sec-Fetch-Site": "cross-site"})
    assert not media_of(foreign), "a page of another site makes nobody look"
    assert looks() == (0, [])
    files = media_of(client.get(url, asked, headers=headers))
    assert files == [f"item-{item.pk}.jpg", "subject.png"]
    actor, about = AuditEvent.objects.latest("id").actor, "moderation.reviewcase"
    assert looks() == (2, [(actor, about, f"packet, {name}") for name in reversed(files)])
    assert Exposure.objects.get().user == user
    item.picture.delete()
    client.get(url, asked, headers=headers)
    assert looks()[0] == 3, "what is gone is no look"


def media_of(answer: Any) -> list[str]:
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    return sorted(name.removeprefix("media/") for name in names if name.startswith("media/"))


@pytest.mark.parametrize("side", ["query", "result"])
def test_no_drawing_shows_clearly_what_is_blurred(side: str, settings: Any) -> None:
    whole = pictures.wheel_photo("astronaut.png")
    inline = (*PIXELS, "copy")
    rows = {
        "query": pictures.add_ready_image(whole, inline=inline),
        "result": pictures.add_ready_image(whole.crop((60, 40, 460, 440)), inline=inline),
    }

    def drawn(who: str) -> list[bool]:
        client = caller(who, settings)
        body = {"id": rows["query"].pk, "match_type": "copy", "explain": True}
        answer = client.post("/api/v1/images/search/", body, content_type="application/json")
        found = [one for one in answer.json()["results"] if one["image"]["id"] == rows["result"].pk]
        return ["explanation" in one for one in found]

    assert drawn("viewer") == [True]
    set_state(rows[side], "doubted")
    assert (drawn("moderator"), drawn("open")) == ([False], [True])
    assert looks() == (0, [])


def test_a_look_on_another_page_counts_for_the_decision(image: Image) -> None:
    ann = Client()
    ann.force_login(make.make_person(Role.MODERATOR))
    case = make.make_case(make.make_item(make.make_list()), image, held=True)
    other = make.make_case(make.make_item(make.make_list()))
    set_state(image, "quarantined")
    ann.get(reverse("gallery:original", args=[image.pk]) + "?clear=1")
    for one in (case, other):
        ann.post(reverse("console:decide", args=[one.pk]), {"verb": "confirm"})
    assert [one.decisions.get().looked for one in (case, other)] == [True, False]

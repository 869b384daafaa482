"""The console's pages and media: who may, which bytes leave the server, what is recorded."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from PIL import Image as Pillow

from gallery.imaging.renditions import STEPS, rendition
from gallery.items import changing
from gallery.items.models import Image
from moderation.access.permissions import Actor, Role
from moderation.audit.models import AuditEvent
from moderation.cases import deciding, locks
from moderation.cases.console.queue_pages import PER_PAGE
from moderation.cases.models import CaseMatch, DecisionBatch, Exposure, ReviewCase, ReviewPreference
from moderation.lists.models import BannedItem
from tests import factories as pictures
from tests import pages
from tests.moderation import factories as make
from tests.videos import library
from tests.videos.clips import encode, timed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
CONSOLE = "/admin/moderation/console/"


@pytest.fixture
def item(db: None) -> BannedItem:
    made = make.make_item(make.make_list("terror"))
    made.picture.save("items/1.jpg", ContentFile(pictures.jpeg(pictures.photo(2, (640, 480)))))
    return made


@pytest.fixture
def case(item: BannedItem) -> ReviewCase:
    image = pictures.add_ready_image(data=pictures.png(pictures.photo(1, (640, 480))))
    changing.quarantine_items(items=Image.objects.all(), by="worker")
    return make.make_case(item, Image.objects.get(pk=image.pk), held=True)


def enter(role: Role, name: str = "") -> tuple[Client, User]:
    client, user = Client(), make.make_person(role, name)
    client.force_login(user)
    return client, user


CASE_PAGES = ("console:case", "admin:moderation_reviewcase_change")


def subject(case: ReviewCase, step: str) -> str:
    return reverse("console:subject", args=[case.pk, step])


def pixels(data: bytes) -> Any:
    return np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"), np.float32)


@pytest.mark.slow
def test_roles_and_pages(case: ReviewCase) -> None:
    pages = {
        reverse("console:queue"): Role.VIEWER,
        reverse("console:grid"): Role.MODERATOR,
        reverse("console:case", args=[case.pk]): Role.MODERATOR,
        reverse("console:preferences"): Role.MODERATOR,
        reverse("admin:moderation_reviewcase_changelist"): Role.VIEWER,
        reverse("admin:moderation_decisionbatch_changelist"): Role.VIEWER,
        subject(case, "blur"): Role.MODERATOR,
    }
    for role in (Role.NOBODY, Role.VIEWER, Role.MODERATOR, Role.LEAD):
        client, _ = enter(role)
        for path, least in pages.items():
            assert client.get(path).status_code == (200 if role >= least else 403), (role, path)
    for path in pages:
        assert Client().get(path).status_code == 302, "log in first"


def test_cases_for_others_come_last_and_are_counted(item: BannedItem) -> None:
    client, ann = enter(Role.MODERATOR)
    voted, escalated, *others = (
        make.make_case(item, two_person=number == 0) for number in range(PER_PAGE + 3)
    )
    by = Actor.person(ann)
    deciding.decide(by=by, case_ids=[voted.pk], verb="confirm")
    deciding.decide(by=by, case_ids=[escalated.pk], verb="escalate")

    def shown(number: int) -> list[int]:
        page = client.get(reverse("console:queue"), {"p": number})
        text = " ".join(re.sub("<[^>]+>", " ", page.content.decode()).split())
        assert f"{PER_PAGE + 3} cases waiting ({PER_PAGE + 1} for you, 2 for others)" in text
        return [row["case"].pk for row in page.context["rows"]]

    rows = [*shown(1), *shown(2)]
    assert rows[: PER_PAGE + 1] == [case.pk for case in others]
    assert sorted(rows[PER_PAGE + 1 :]) == sorted([voted.pk, escalated.pk])


COPY = {"inliers": 40, "mirrored": False, "crop": False, "border": False, "rotation": 0.4}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("geometry", "distance", "words"),
    [
        (None, 0.02, "A copy, 98 % sure."),
        (COPY, 0.0, "Copy, 99.9 % sure."),
        ({**COPY, "mirrored": True, "crop": True}, 0.004, "Mirrored crop, 99.6 % sure."),
        (
            {**COPY, "border": True, "rotation": -90.3},
            0.4,
            "Copy with something around it, turned by 90°, 60 % sure.",
        ),
    ],
)
def test_rows_say_what_was_done_to_a_copy(
    item: BannedItem, geometry: Any, distance: float, words: str
) -> None:
    case = make.make_case(item)
    case.matches.update(match_type="copy", distance=distance, geometry=geometry)
    for page in ("console:queue", "console:grid"):
        client, _ = enter(Role.MODERATOR)
        rows = client.get(reverse(page)).context["rows"]
        assert rows[0]["how"] == [words]


def test_only_people_who_may_open_a_case_are_led_to_it(case: ReviewCase) -> None:
    lists = [reverse("console:queue"), reverse("admin:moderation_reviewcase_changelist")]
    for role in (Role.VIEWER, Role.MODERATOR):
        client, _ = enter(role)
        for path in lists:
            page = client.get(path).content.decode()
            assert f"Case {case.pk}" in page
            links = [f'"{reverse(name, args=[case.pk])}' for name in CASE_PAGES]
            assert any(link in page for link in links) == (role >= Role.MODERATOR), (role, path)


def test_a_role_that_is_taken_away_ends_the_media_at_once(case: ReviewCase) -> None:
    client, user = enter(Role.MODERATOR)
    assert client.get(subject(case, "blur")).status_code == 200
    user.groups.clear()
    assert client.get(subject(case, "blur")).status_code == 403
    user.is_staff = False
    user.save()
    assert client.get(subject(case, "blur")).status_code == 302


def test_media_is_kept_nowhere(case: ReviewCase) -> None:
    client, _ = enter(Role.MODERATOR)
    match = CaseMatch.objects.get()
    for path in (subject(case, "grey"), reverse("console:item", args=[case.pk, match.pk, "grey"])):
        answer = client.get(path)
        assert {"private", "no-store"} <= set(answer["Cache-Control"].split(", "))
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Type"] == "image/jpeg"
        assert "sandbox" in answer["Content-Security-Policy"]
    for gone in (
        subject(case, "sharp"),
        reverse("console:subject", args=[case.pk + 1, "blur"]),
        reverse("console:item", args=[case.pk, match.pk + 1, "blur"]),
    ):
        assert client.get(gone).status_code == 404


def test_blur_leaves_too_little_to_recognise() -> None:
    picture = np.asarray(pictures.wheel_photo("astronaut.png"))
    clear = pixels(rendition(picture, "clear", 512))
    detail = {}
    for step in STEPS:
        shown = pixels(rendition(picture, step, 512))
        assert shown.shape == clear.shape
        detail[step] = float(np.abs(np.diff(shown.mean(axis=2), axis=1)).mean())
    assert detail["blur"] < detail["clear"] / 4
    grey = pixels(rendition(picture, "grey", 512))
    assert float(np.ptp(grey, axis=2).max()) <= 2, "no colour"
    # Eight pixels are all that is left: made smaller and larger again it is the same.
    blurred = pixels(rendition(picture, "blur", 512))
    small = Pillow.fromarray(blurred.astype(np.uint8)).resize((16, 16), Pillow.Resampling.BOX)
    back = np.asarray(small.resize((512, 512), Pillow.Resampling.BICUBIC), np.float32)
    assert float(np.abs(back - blurred).mean()) < 3


def test_only_clear_looks_are_counted_and_recorded(case: ReviewCase) -> None:
    client, user = enter(Role.MODERATOR, "ann")
    match = CaseMatch.objects.get()
    for step in ("blur", "grey", "lines"):
        client.get(subject(case, step))
    assert not Exposure.objects.exists()
    client.get(subject(case, "clear"))
    client.get(reverse("console:item", args=[case.pk, match.pk, "clear"]))
    assert Exposure.objects.get(user=user).count == 2
    seen = AuditEvent.objects.filter(verb="media.seen", actor="user:ann").order_by("id")
    assert [(one.subject_id, one.after["what"]) for one in seen] == [
        (case.pk, "subject"),
        (case.pk, f"item {match.item_id}"),
    ]


def test_whether_somebody_looked_is_known(case: ReviewCase, item: BannedItem) -> None:
    client, _ = enter(Role.MODERATOR)
    other = make.make_case(item)
    client.get(subject(case, "clear"))
    for one in (case, other):
        answer = client.post(reverse("console:decide", args=[one.pk]), {"verb": "confirm"})
        assert answer.status_code == 200, answer.content
    assert [one.decisions.get().looked for one in (case, other)] == [True, False]


def test_preferences(case: ReviewCase) -> None:
    client, user = enter(Role.MODERATOR)
    page, path = reverse("console:case", args=[case.pk]), reverse("console:preferences")
    assert subject(case, "blur") in client.get(page).content.decode()
    client.post(path, {"first_filter": "lines", "break_after": "3"})
    assert subject(case, "lines") in client.get(page).content.decode()
    for bad in ({"first_filter": "none", "break_after": "3"}, {"first_filter": "clear"}):
        assert b'role="alert"' in client.post(path, bad).content
    preferred = ReviewPreference.objects.get(user=user)
    assert (preferred.first_filter, preferred.break_after) == ("lines", 3)


@pytest.mark.slow
def test_a_break_is_suggested_once(case: ReviewCase) -> None:
    client, user = enter(Role.MODERATOR)
    ReviewPreference.objects.create(user=user, break_after=3)
    page = reverse("console:case", args=[case.pk])
    for looks, suggested in ((2, False), (1, True), (0, False), (2, False), (1, True)):
        for _ in range(looks):
            client.get(subject(case, "clear"))
        assert (b"data-break" in client.get(page).content) == suggested


def test_hash_only_items_say_so(case: ReviewCase) -> None:
    client, _ = enter(Role.MODERATOR)
    page = reverse("console:case", args=[case.pk])
    assert b"Only hashes of this item are stored" not in client.get(page).content
    BannedItem.objects.update(picture="")
    assert b"Only hashes of this item are stored" in client.get(page).content


def test_the_same_bytes_need_no_look(case: ReviewCase) -> None:
    client, _ = enter(Role.MODERATOR)
    page = reverse("console:case", args=[case.pk])
    assert b"decided without looking" not in client.get(page).content
    CaseMatch.objects.update(match_type="sha256", distance=0, threshold=0, observe=0)
    assert b"decided without looking" in client.get(page).content


def test_a_first_vote_is_hidden_until_there_are_two(item: BannedItem) -> None:
    case = make.make_case(item, two_person=True)
    first, second = make.make_person(Role.MODERATOR, "first-voter"), enter(Role.MODERATOR)
    batch = deciding.decide(
        by=Actor.person(first), case_ids=[case.pk], verb="dismiss", note="a secret note"
    )
    client, user = second
    paths = (reverse("console:case", args=[case.pk]), reverse("console:batch", args=[batch.pk]))
    for path in paths:
        assert "a secret note" not in client.get(path).content.decode()
    own, _ = Client(), None
    own.force_login(first)
    assert "a secret note" in own.get(paths[0]).content.decode()
    deciding.decide(by=Actor.person(user), case_ids=[case.pk], verb="confirm")
    for path in paths:
        assert "a secret note" in client.get(path).content.decode()


def test_deciding_settles_the_cluster_and_answers_the_next(item: BannedItem) -> None:
    client, _ = enter(Role.MODERATOR)
    twins = [make.make_case(item, cluster="a" * 64) for _ in range(3)]
    single = make.make_case(item)
    body = {"verb": "dismiss", "cluster": "1"}
    answer = client.post(reverse("console:decide", args=[twins[0].pk]), body).json()
    assert answer["next"]["id"] == single.pk
    assert f'data-case="{single.pk}"' in answer["next"]["html"]
    assert ReviewCase.objects.filter(state="dismissed").count() == 3
    assert DecisionBatch.objects.count() == 1
    undone = client.post(reverse("console:undo-last")).json()
    assert undone["next"]["id"] == twins[0].pk
    assert ReviewCase.objects.filter(state="open").count() == 4
    alone = client.post(reverse("console:decide", args=[twins[0].pk]), {"verb": "dismiss"}).json()
    assert ReviewCase.objects.filter(state="open").count() == 3
    assert alone["next"]["id"] in {twins[1].pk, twins[2].pk, single.pk}
    ReviewCase.objects.filter(state="open").delete()
    assert client.post(reverse("console:undo-last")).status_code == 200
    last = client.post(reverse("console:decide", args=[twins[0].pk]), {"verb": "confirm"}).json()
    assert (last["next"], last["queue"]) == (None, reverse("console:queue"))
    assert client.post(reverse("console:undo-last"), HTTP_X="").status_code == 200
    assert client.post(reverse("console:undo-last")).status_code == 404


def test_many_are_asked_about_and_some_left_out(item: BannedItem) -> None:
    client, _ = enter(Role.MODERATOR)
    cases = [make.make_case(item) for _ in range(4)]
    locks.lock(by=Actor.person(make.make_person(Role.MODERATOR, "bob")), case_id=cases[3].pk)
    body = {"verb": "confirm", "cases": ",".join(str(case.pk) for case in cases)}
    page = client.post(reverse("console:bulk"), body)
    asked, token = page.content.decode(), page.context["token"]
    assert "Confirm 3 cases of 3 pictures" in asked
    assert "1 left out: bob is working on this case." in asked
    assert not DecisionBatch.objects.exists()
    ids = ",".join(str(case.pk) for case in cases[:3])
    done = client.post(
        reverse("console:bulk"),
        {**body, "cases": ids, "confirmed": token, "reason": "edited", "back": "//evil.example/"},
    )
    assert (done.status_code, done["Location"]) == (302, reverse("console:grid"))
    batch = DecisionBatch.objects.get()
    assert (batch.reason, batch.decisions.count()) == ("edited", 3)
    nothing = client.post(reverse("console:bulk"), {**body, "cases": ids}, follow=True)
    assert "It is confirmed already." in nothing.content.decode()
    undo_page = client.get(reverse("console:batch", args=[batch.pk])).context["undo"]
    pages.undo(client, undo_page, reason="a slip")
    assert ReviewCase.objects.filter(state="open").count() == 4
    assert AuditEvent.objects.get(verb="case.undone").reason == "a slip"


def test_a_first_vote_is_not_called_a_decision(item: BannedItem) -> None:
    client, _ = enter(Role.MODERATOR)
    cases = [make.make_case(item, two_person=number < 2) for number in range(3)]

    def decide(*cases: ReviewCase) -> str:
        body = {"verb": "confirm", "cases": ",".join(str(case.pk) for case in cases)}
        answer = pages.confirm(client, reverse("console:bulk"), body, reason="same")
        return str(next(iter(answer.context["messages"])))

    assert decide(cases[0]).startswith("1 case waiting for a second person, as batch")
    both = "2 cases decided (1 waiting for a second person, 1 confirmed), as batch"
    assert decide(*cases[1:]).startswith(both)


def test_the_admin_decides_and_undoes_many(item: BannedItem) -> None:
    client, user = enter(Role.MODERATOR)
    cases = [make.make_case(item) for _ in range(3)]
    changelist = reverse("admin:moderation_reviewcase_changelist")
    body = {"action": "dismiss_cases", "_selected_action": [case.pk for case in cases[:2]]}
    assert "Dismiss 2 cases of 2 pictures" in client.post(changelist, body).content.decode()
    batch = deciding.decide(
        by=Actor.person(user), case_ids=[case.pk for case in cases], verb="dismiss"
    )
    batches = reverse("admin:moderation_decisionbatch_changelist")
    assert "It shows something else" in client.get(batches).content.decode()
    body = {"action": "undo_batches", "_selected_action": [batch.pk]}
    asked = client.post(batches, body)["Location"]
    assert ReviewCase.objects.filter(state="dismissed").count() == 3
    answer = pages.undo(client, asked).content.decode()
    assert f"Batch {batch.pk} undone: 3 cases." in answer
    again = client.post(batches, body, follow=True).content.decode()
    assert "is left out: it was undone already." in again
    for search in (str(cases[0].pk), cases[0].cluster):
        assert f"Case {cases[0].pk}" in client.get(f"{changelist}?q={search}").content.decode()
    viewer, _ = enter(Role.VIEWER)
    body = {"action": "dismiss_cases", "_selected_action": [cases[0].pk]}
    viewer.post(changelist, body)
    assert ReviewCase.objects.filter(state="open").count() == 3


def test_everything_that_the_filters_ask_for(item: BannedItem) -> None:
    client, _ = enter(Role.MODERATOR)
    for n in range(30):
        make.make_case(item, distance=float(n))
    path = f"{reverse('console:bulk')}?band=near"
    asked = client.post(path, {"verb": "dismiss", "all": "1", "cases": ""}).content.decode()
    assert "Dismiss 15 cases" in asked


def test_presence(case: ReviewCase) -> None:
    (ann, _), (bob, _) = enter(Role.MODERATOR, "ann"), enter(Role.MODERATOR, "bob")
    path = reverse("console:presence", args=[case.pk])
    assert ann.post(path).json() == {"holder": "ann", "mine": True, "others": []}
    assert bob.post(path).json() == {"holder": "ann", "mine": False, "others": ["ann"]}
    assert bob.post(path, {"take_over": "1"}).json()["mine"]
    bob.post(reverse("console:release", args=[case.pk]))
    assert ann.post(path).json()["mine"]


def test_skipping_goes_on_behind(item: BannedItem) -> None:
    client, _ = enter(Role.MODERATOR)
    cases = [make.make_case(item) for _ in range(3)]
    seen = []
    for _ in range(4):
        at = seen[-1] if seen else cases[0].pk
        seen.append(client.post(reverse("console:skip", args=[at])).json()["next"]["id"])
    assert seen == [cases[1].pk, cases[2].pk, cases[0].pk, cases[1].pk]


def test_the_matched_frame_of_an_animation_is_shown(item: BannedItem) -> None:
    client, _ = enter(Role.MODERATOR)
    frames = [pictures.photo(seed) for seed in (5, 6, 7)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    image = pictures.add_ready_image(data=out.getvalue())
    case = make.make_case(item, image)
    case.matches.update(frame=2)
    page = client.get(reverse("console:case", args=[case.pk])).content.decode()
    assert f"{subject(case, 'blur')}?f=2" in page
    shown = pixels(client.get(f"{subject(case, 'clear')}?f=2").content)
    differences = [float(np.abs(shown - np.asarray(frame, np.float32)).mean()) for frame in frames]
    assert int(np.argmin(differences)) == 2
    assert differences[2] < 8
    assert client.get(f"{subject(case, 'clear')}?f=9").status_code == 404
    assert client.get(f"{subject(case, 'clear')}?t=x").status_code == 400


@pytest.mark.slow
def test_a_video_shows_the_moment_of_its_match(item: BannedItem) -> None:
    client, _ = enter(Role.MODERATOR)
    video = library.add_ready(encode(timed(library.clip_of("travel", 2.0, 8.0), library.RATE)))
    case = make.make_case(item, video=video)
    case.matches.update(time_ms=4000, video=video)
    page = client.get(reverse("console:case", args=[case.pk])).content.decode()
    assert f"{subject(case, 'blur')}?t=4000" in page
    assert "0:00:04.0 · match" in page
    assert page.count("data-ms=") == 6, "0, 2, 3, 4, 5 and 6 s: it ends there"
    early = pixels(client.get(f"{subject(case, 'clear')}?t=500").content)
    late = pixels(client.get(f"{subject(case, 'clear')}?t=4000").content)
    assert float(np.abs(early - late).mean()) > 20, "before and after the cut at 2 s"
    again = pixels(client.get(f"{subject(case, 'clear')}?t=4000").content)
    assert np.array_equal(late, again)
    assert client.get(f"{subject(case, 'blur')}?small=1").status_code == 200

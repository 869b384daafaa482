"""The audit in words: every action has a sentence, which names and links what it says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from gallery.items import changing
from gallery.items.models import Image
from moderation.access.permissions import Actor, Role
from moderation.audit import people, trail
from moderation.audit.models import AuditEvent
from moderation.audit.sentences import FIELDS, Names, as_html, as_text, sentence
from moderation.audit.wordings import WORDINGS
from moderation.cases import deciding, undoing, wellbeing
from moderation.cases.models import DecisionBatch
from moderation.lists import item_changing, list_writes
from moderation.lists.models import BannedItem
from tests.factories import add_ready_image, photo
from tests.moderation.factories import ADMIN, make_case, make_item, make_list, make_person

ROOT = Path(__file__).parents[3]
APPS = ("gallery", "videos", "moderation", "imgsmlr_site")
RECORDERS = {"record", "_record", "notify_changed", "record_account", "record_key", "_finish"}
"""Functions that write an event, or tell what will."""
PLACES = {"_finish": slice(0, 1), "record_account": slice(1, 2), "record_key": slice(1, 2)}
"""Where the action is, of those that take others too."""


def _texts(node: ast.expr) -> Iterator[str]:
    """The values of an expression, with .+ for what is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield re.escape(node.value)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            re.escape(part.value) if isinstance(part, ast.Constant) else ".+"  # type: ignore[type-var]
            for part in node.values
        )


def written_actions() -> Iterator[tuple[str, str]]:
    """(file, pattern of an action) of each place of the source that records or tells one."""
    for app in APPS:
        for file in sorted((ROOT / app).rglob("*.py")):
            for call in ast.walk(ast.parse(file.read_text())):
                if not isinstance(call, ast.Call):
                    continue
                name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                if name not in RECORDERS:
                    continue
                given = [one.value for one in call.keywords if one.arg == "verb"]
                arguments = call.args[PLACES[name]] if name in PLACES else call.args
                place = str(file.relative_to(ROOT))
                for text in (text for node in given or arguments for text in _texts(node)):
                    verb = text.replace(r"\ ", "_")
                    if name == "notify_changed":
                        yield place, rf"\w+\.{verb}"
                    elif name in ("record_account", "record_key", "_finish"):
                        kind = {"record_account": "user", "record_key": "key"}.get(name, "item")
                        yield place, f"{kind}.{verb}"
                    elif "." in verb:
                        yield place, verb


@pytest.mark.slow
def test_every_action_of_the_source_has_a_wording() -> None:
    found = list(written_actions())
    assert len(found) > 60, "the search finds few of them any more"
    unknown = [
        (place, verb)
        for place, verb in found
        if not any(re.fullmatch(verb, known) for known in WORDINGS)
    ]
    assert unknown == []


def test_every_wording_can_be_filled_in() -> None:
    bare = AuditEvent(actor="user:ana", subject="moderation.bannedlist", subject_id=4)
    for verb, wording in WORDINGS.items():
        bare.verb = verb
        for phrase in (wording.phrase, *wording.variants.values()):
            assert set(re.findall(r"\{(.*?)\}", str(phrase))) <= set(FIELDS), verb
        assert as_text(sentence(bare, Names({}))).startswith("ana "), verb


def said(number: int = 0) -> str:
    """The sentence of the latest event, or of one before it."""
    event = AuditEvent.objects.order_by("-id")[number]
    return as_text(sentence(event, Names.of([event])))


@pytest.mark.django_db
def test_cases_are_named_with_what_they_are_about() -> None:
    item = make_item(make_list("terror"))
    image = add_ready_image(photo(1), data_id="post-1040")
    case, other = make_case(item, image), make_case(item)
    lead = Actor.person(make_person(Role.LEAD, "ana"))
    deciding.decide(by=lead, case_ids=[case.pk], verb="confirm")
    assert said() == f"ana confirmed case {case.pk} (post-1040)"
    undoing.undo_batch(by=lead, batch_id=DecisionBatch.objects.get().pk, reason="a slip")
    assert said() == f"ana undid the confirmation of case {case.pk} (post-1040)"
    event = AuditEvent.objects.latest("id")
    assert f'<a href="/admin/moderation/console/cases/{case.pk}/">' in as_html(
        sentence(event, Names.of([event]))
    )
    deciding.decide(by=lead, case_ids=[case.pk, other.pk], verb="dismiss")
    names = f"case {case.pk} (post-1040), case {other.pk}"
    assert said() == f"ana dismissed 2 cases ({names})"
    grave = make_case(item, two_person=True)
    bo = Actor.person(make_person(Role.LEAD, "bo"))
    deciding.decide(by=lead, case_ids=[grave.pk], verb="confirm")
    assert said() == f"ana voted to confirm case {grave.pk}, the first of two votes"
    deciding.decide(by=bo, case_ids=[grave.pk], verb="dismiss")
    assert said() == f"bo voted to dismiss case {grave.pk}, unlike the first vote"
    wellbeing.note_look(by=lead, subject=image, what="thumbnail")
    assert said() == f"ana looked clearly at image {image.pk} (post-1040) (thumbnail)"
    changing.delete_items(items=Image.objects.all(), by="key:loader", reason="asked", override=True)
    assert said() == f"The key loader deleted image {image.pk}"


@pytest.mark.django_db
def test_changes_of_lists_say_from_what_to_what() -> None:
    row = list_writes.create_list(by=ADMIN, name="<b>memes</b>")
    assert said() == "A command on the server created the list <b>memes</b>"
    event = AuditEvent.objects.latest("id")
    shown = as_html(sentence(event, Names.of([event])))
    assert "&lt;b&gt;memes&lt;/b&gt;</a>" in shown and "<b>" not in shown
    list_writes.change_list(by=ADMIN, list_id=row.pk, severity=4, hold_on_review=False)
    assert said().endswith(": severity from medium to critical, hold on review from on to off") or (
        said().endswith(": hold on review from on to off, severity from medium to critical")
    )
    for owner, words in (("bo", "owner set to bo"), ("", "owner bo removed")):
        list_writes.change_list(by=ADMIN, list_id=row.pk, owner=owner)
        assert said().endswith(f": {words}")
    list_writes.change_method(by=ADMIN, list_id=row.pk, match_type="clip", threshold=0.00001)
    assert said().endswith("changed clip of the list <b>memes</b>: threshold from the default to "
                           "< 0.0001")  # fmt: skip
    items = [make_item(row, source_id=f"TAT-{number}") for number in range(5)]
    onto = list_writes.create_list(by=ADMIN, name="spam")
    item_changing.move(by=ADMIN, items=BannedItem.objects.all(), list_id=onto.pk, reason="")
    ids = [item.pk for item in items]
    assert said() == (
        f"A command on the server moved 5 items (item {ids[0]} (TAT-0), item {ids[1]} (TAT-1), "
        f"item {ids[2]} (TAT-2) and 2 more) to the list spam"
    )
    list_writes.delete_list(by=ADMIN, list_id=row.pk)
    assert said() == "A command on the server deleted the list <b>memes</b>"
    assert said(1).endswith("the list spam")


@pytest.mark.django_db
def test_people_are_named() -> None:
    user = User.objects.create_user("bo")
    with people.changed_by(lambda: "user:root"):
        people.record_roles([user.pk], ["lead"], given=True)
        assert said() == "root gave bo the role lead"
        people.record_rights(user, {"is_superuser": True, "is_staff": False, "is_active": True})
        assert said() == "root changed the rights of bo: is superuser from on to off"
    trail.record(by="none", verb="user.login_failed", subject=user, after={"address": "10.0.0.1"})
    assert said() == "Somebody failed to log in as bo from 10.0.0.1"
    trail.record(by="worker", verb="from.the.future", subject=user)
    assert said() == "A worker did from.the.future"

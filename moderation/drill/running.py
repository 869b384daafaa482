"""The drill: proof that the filter works, by a harmless picture that it must find.

A picture of our own is on a list of its own, which only records. Edited copies of it are added as
any upload is, described by the workers and screened by the gate. Each must be matched with the
item within ``LIMIT``. Then the copies are deleted. A drill that fails is sent to webhooks and shown
by the metrics and on the dashboard.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from gallery.items.adding import add_image
from gallery.items.changing import delete_items
from gallery.items.item import Status
from gallery.items.models import Image
from gallery.management.demo_pictures import EDITS, FAMILIES, jpeg
from gallery.shared.errors import Conflict, UserError
from gallery.shared.locking import lock
from moderation.access.permissions import Actor
from moderation.cases.models import CaseMatch
from moderation.drill.models import Drill
from moderation.lists import item_adding, list_writes
from moderation.lists.models import BannedList
from moderation.lists.verdicts import Action
from moderation.webhooks import outbox
from moderation.webhooks.models import WebhookEvent

BY: Final = Actor.machine("drill")

LIST: Final = "Drill"

LIMIT: Final = timedelta(minutes=10)

PICTURE: Final = FAMILIES["waves"], 1000
"""What draws the picture, and the number that it draws. No sample has this number."""

QUALITY: Final = 92

KEPT: Final = timedelta(days=90)


def start() -> Drill:
    """Add the edited copies. A drill that runs already is returned instead."""
    with transaction.atomic():
        lock("drill")
        running = Drill.objects.filter(state=Drill.State.RUNNING).first()
        if running is not None:
            return running
        Drill.objects.filter(started_at__lt=timezone.now() - KEPT).delete()
        drill = Drill.objects.create()
    try:
        _prepare_list()
        for name, data in _copies(drill.pk):
            image = add_image(by=BY.name, data=data, data_id=f"drill/{name}")
            drill.images[name] = image.pk
            drill.save(update_fields=["images"])
    except UserError as error:
        _end(drill, [f"No copy could be added: {error.message}"])
    return drill


def start_if_due() -> bool:
    """Start the drill of the day, unless it is switched off or there is nothing to filter by."""
    others = BannedList.objects.filter(enabled=True, kind=BannedList.Kind.BANNED)
    due = settings.DRILL and others.exclude(name=LIST).exists()
    if due:
        start()
    return due


def finish() -> Drill | None:
    """End the drill that runs, if all its copies were screened or its time is over."""
    with transaction.atomic():
        lock("drill")
        drill = Drill.objects.filter(state=Drill.State.RUNNING).first()
        if drill is None:
            return None
        late = timezone.now() - drill.started_at > LIMIT
        images = Image.objects.in_bulk(list(drill.images.values()))
        pending = [one for one in images.values() if one.status == Status.PENDING]
        if (pending or len(drill.images) < len(EDITS)) and not late:
            return drill
        _end(drill, _missed(drill, images))
    return drill


def run(seconds: float) -> Drill:
    """Start a drill and wait for its end, up to some seconds."""
    drill = start()
    until = time.monotonic() + seconds
    while drill.state == Drill.State.RUNNING and time.monotonic() < until:
        time.sleep(0.2)
        drill = finish() or Drill.objects.get(pk=drill.pk)
    return drill


def last_ended() -> Drill | None:
    return Drill.objects.exclude(state=Drill.State.RUNNING).first()


def _prepare_list() -> None:
    row = BannedList.objects.filter(name=LIST).first()
    if row is None:
        row = list_writes.create_list(
            by=BY,
            name=LIST,
            action=Action.SHADOW,
            observe_share=0.0,
            category="self-test",
            description="A harmless picture that the drill looks for. Its matches are recorded; "
            "nothing is held back.",
            reason="the drill needs it",
        )
    draw, number = PICTURE
    with suppress(Conflict):  # it is there
        item_adding.add_picture(
            by=BY, list_id=row.pk, data=jpeg(draw(number), QUALITY), reason="the drill's picture"
        )


def _copies(number: int) -> list[tuple[str, bytes]]:
    """Return the edited copies. ``number`` makes the files differ from those of other drills."""
    draw, picture = PICTURE
    made = []
    for name, (change, quality) in EDITS.items():
        edited = change(draw(picture)).convert("RGB")
        # A corner that is cut off by some pixels makes other bytes and the same picture.
        edited = edited.crop((0, 0, edited.width - number % 16, edited.height - number // 16 % 16))
        made.append((name, jpeg(edited, quality)))
    return made


def _missed(drill: Drill, images: dict[int, Image]) -> list[str]:
    found = set(
        CaseMatch.objects.filter(
            image__in=images, list_name=LIST, distance__lte=F("threshold")
        ).values_list("image", flat=True)
    )
    sentences = []
    for name in EDITS:
        image = images.get(drill.images.get(name, 0))
        if image is None:
            sentences.append(f"The copy “{name}” was not added.")
        elif image.pk in found:
            continue
        elif image.status == Status.PENDING:
            minutes = int(LIMIT.total_seconds() // 60)
            sentences.append(f"The copy “{name}” was not screened within {minutes} minutes.")
        else:
            sentences.append(f"The copy “{name}” was not found.")
    return sentences


def _end(drill: Drill, missed: list[str]) -> None:
    with transaction.atomic():
        drill.missed, drill.ended_at = missed, timezone.now()
        drill.state = Drill.State.FAILED if missed else Drill.State.PASSED
        drill.save()
        copies = Image.objects.filter(pk__in=drill.images.values(), added_by=BY.name)
        delete_items(items=copies, by=BY.name, reason="the drill is over")
        if missed:
            outbox.enqueue(
                WebhookEvent.DRILL_FAILED,
                f"drill-{drill.pk}",
                {"drill": drill.pk, "started_at": drill.started_at, "missed": missed},
            )

"""Each page of the console asks the database as often for much as for little."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from gallery.items.models import Image
from moderation.access.permissions import Actor, Role
from moderation.cases import deciding, golden, quality
from moderation.cases.models import ReviewCase
from moderation.imports.models import ListImport
from moderation.lists.models import BannedItem, RetroScan
from moderation.reports.models import Notice
from tests import factories as pictures
from tests.moderation import factories as make
from tests.moderation.recorded import CONFIRMED, DISMISSED, OPEN, record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
FEW, MORE = 2, 6
HASH = "0" * 64


@pytest.fixture(autouse=True)
def _settings(settings: Any) -> None:
    settings.QUALITY_SHARE = 1.0


class Moderation:
    """Lists with all that a page may show of them, and one case that much is known of."""

    def __init__(self) -> None:
        self.on = make.make_list("terror")
        self.item = self._item()
        self.case = make.make_case(self.item, self._image(0), cluster=HASH)
        self.notice = self._noticed()
        self.first = Actor.person(make.make_person(Role.MODERATOR))
        self.lead = Actor.person(make.make_person(Role.LEAD))
        self.second = Actor.person(make.make_person(Role.MODERATOR))

    def grow(self, rounds: int) -> None:
        """That much more of everything."""
        for _ in range(rounds):
            on = make.make_list()
            record(on, [(5.0, CONFIRMED), (40.0, DISMISSED)] * 20, source=on.name)
            record(self.on, [(5.0, CONFIRMED), (40.0, DISMISSED), (36.0, OPEN)], source=on.name)
            make.make_item(on, suspended_at=timezone.now())
            RetroScan.objects.create(list=on, reason="new items", added_by="tests")
            ListImport.objects.create(
                list=on, state=ListImport.State.FAILED, file_name="bad.xml", sha256=HASH,
                format="ncmec", size=1, failure="It is no XML.", added_by="tests",
            )  # fmt: skip
            match = make.make_case(self._item()).matches.get()
            match.pk, match.case = None, self.case
            match.save(force_insert=True)
            make.make_case(self.item, cluster=HASH)
            self._decided(make.make_case(self.item, self._image(ReviewCase.objects.count())))
            self._escalated()
            self._noticed().cases.add(*ReviewCase.objects.filter(image=None)[:5])

    def _item(self) -> BannedItem:
        item = make.make_item(make.make_list(), source="a source")
        item.picture.save("items/1.jpg", ContentFile(b"never opened"))
        return item

    def _image(self, seed: int) -> Image:
        data = pictures.png(pictures.photo(seed, (40, 30)))
        return pictures.add_ready_image(data=data, uploader="somebody")

    def _noticed(self) -> Notice:
        """A notice about the case that much is known of."""
        now = timezone.now()
        notice = Notice.objects.create(reason="other", created_at=now, due_at=now)
        notice.cases.add(self.case)
        return notice

    def _decided(self, case: ReviewCase) -> None:
        deciding.decide(by=self.first, case_ids=[case.pk], verb="confirm")
        quality.give_opinion(by=self.second, case_id=case.pk, verb="dismiss")
        golden.add(by=self.lead, case_id=case.pk)

    def _escalated(self) -> None:
        """One thing more that was said of the case."""
        person = Actor.person(make.make_person(Role.LEAD))
        case = ReviewCase.objects.filter(pk=self.case.pk)
        case.update(state="open", claimed_by=None, claimed_until=None)
        deciding.decide(by=person, case_ids=[self.case.pk], verb="escalate")


def counts(client: Client, there: Moderation) -> dict[str, int]:
    """Page → how many queries it takes, the claims that its first call makes left out."""
    threshold = [there.on.pk, "pdq"]
    addresses = {
        "dashboard": reverse("moderation-dashboard"),
        "second opinions": reverse("console:second-opinions"),
        "queue": reverse("console:queue"),
        "grid": reverse("console:grid"),
        "focus view": reverse("console:case", args=[there.case.pk]),
        "golden cases": reverse("console:golden"),
        "notices": reverse("console:notices"),
        "notice": reverse("console:notice", args=[there.notice.pk]),
        "transparency": reverse("console:transparency"),
        "thresholds": reverse("console:thresholds"),
        "threshold": f"{reverse('console:threshold', args=threshold)}?t=38",
        "preview": f"{reverse('console:threshold-preview', args=threshold)}?t=38",
    }
    found = {}
    for name, address in addresses.items():
        assert client.get(address).status_code == 200, name
        with CaptureQueriesContext(connection) as captured:
            client.get(address)
        found[name] = len(captured)
    return found


@pytest.mark.slow
def test_no_page_takes_more_queries_for_more_data() -> None:
    there, client = Moderation(), Client()
    client.force_login(make.make_person(Role.LEAD))
    there.grow(FEW)
    few = counts(client, there)
    assert few["dashboard"] <= 40
    there.grow(MORE)
    assert counts(client, there) == few

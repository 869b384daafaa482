"""Each page of the console and of moderation's admin in Chinese: no English is left on it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse

from gallery.items.models import Image
from moderation.access.permissions import Actor
from moderation.cases import deciding, golden
from moderation.cases.models import DecisionBatch
from moderation.imports import start
from moderation.lists import item_changing, list_writes
from moderation.lists.models import BannedItem, ListChange, RetroScan
from moderation.webhooks import editing
from moderation.webhooks.models import WebhookEvent
from tests import factories as pictures
from tests.moderation import factories as make
from tests.moderation.recorded import CONFIRMED, DISMISSED, OPEN, record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]
CHINESE = {"Accept-Language": "zh-hans"}
HIDDEN = {"script", "style", "code", "kbd", "pre", "template", "option", "textarea", "nav"}
VOID = {"input", "img", "br", "hr", "meta", "link", "source", "path", "rect"}
SAID = ("aria-label", "alt", "title", "placeholder")
DATA = frozenset(
    re.findall(
        r"\S+",
        "pdq copy imgsmlr clip md sha SHA PDQ CLIP HMA API UTC URL VIC CSV JSON Lines Webhook "
        "ID ncmec stopncii NCMEC StopNCII ThreatExchange Tech Against Terrorism Project csv "
        "Mastodon pict rs CyberTip http https example hooks msg_ POST root ann user key command "
        "worker open test Test verdict decision statement webhook image min GB MB kB ms "
        "PostgreSQL pgvector FLOOD_LIMIT import_hash_list manage Control Command Mac light "
        "lists embed video change_list Pdq Tests Arachnid Shield GIFCT Meta hash sharing ",
    )
)
"""Names, units and codes that are the same in all languages."""


class Moderation:
    """Something on each page. Names and notes are Chinese, so that English is the page's own."""

    def __init__(self, root: User) -> None:
        by = Actor.person(root)
        self.on = list_writes.create_list(
            by=by, name="恐怖主义", severity=4, action="block", reason="约定"
        )
        list_writes.create_list(by=by, name="放行", kind="allow", reason="约定")
        list_writes.change_method(
            by=by, list_id=self.on.pk, match_type="pdq", threshold=28, reason="梗图"
        )
        BannedItem.objects.all().delete()
        self.item = make.make_item(self.on, ("sha256", "ab" * 32), ("pdq", "cd" * 32, 88))
        self.item.picture.save("items/1.jpg", ContentFile(b"never opened"))
        other = make.make_item(self.on, source="来源", source_id="7", opinion="disputed")
        self.case = make.make_case(self.item, self._image(0), two_person=True)
        self.case.matches.update(edit="cropped to 80 %, mirrored", geometry={"rendering": "black"})
        self.case.evidence |= {"uploader": "某人", "partly": {"copy": "64 of 65 pictures"}}
        self.case.save()
        self.plain = make.make_case(other, self._image(1), severity=2)
        self.decided = make.make_case(other, self._image(2), severity=1)
        deciding.decide(by=by, case_ids=[self.decided.pk], verb="dismiss", note="备注")
        golden.add(by=by, case_id=self.decided.pk)
        record(self.on, [(5.0, CONFIRMED), (40.0, DISMISSED), (36.0, OPEN)] * 12, source="来源")
        item_changing.suspend(by=by, items=BannedItem.objects.filter(pk=other.pk), reason="太多")
        self.scan = RetroScan.objects.create(list=self.on, reason="新条目", added_by="root")
        self.hook = editing.create_webhook(
            by=by, name="商店", url="https://hooks.example/", events=WebhookEvent.values
        )
        editing.write_test(by=by, webhook_id=self.hook.pk)
        file: Any = ContentFile(b"sha256,source_id\n" + b"ab" * 32 + b",1\n", "1.csv")
        self.run = start.begin(by=by, list_id=self.on.pk, file=file, dry_run=True)
        start.run_in_background(self.run.pk)
        ListChange.objects.create(
            list=self.on, list_name=self.on.name, command="change_list", arguments={},
            reason="约定", asked_by="root", expires_at="2100-01-01T00:00Z",
        )  # fmt: skip

    def _image(self, seed: int) -> Image:
        return pictures.add_ready_image(pictures.photo(seed, (40, 30)), uploader="某人")

    def addresses(self) -> list[str]:
        batch = DecisionBatch.objects.get()
        console = {
            "queue": [], "grid": [], "batch": [batch.pk], "gates": [], "preferences": [],
            "second-opinions": [], "golden": [], "scan": [self.scan.pk], "thresholds": [],
            "threshold": [self.on.pk, "pdq"], "threshold-preview": [self.on.pk, "pdq"],
        }  # fmt: skip
        found = [reverse(f"console:{name}", args=args) for name, args in console.items()]
        found += [
            reverse("console:case", args=[case.pk])
            for case in (self.case, self.plain, self.decided)
        ]
        found += [
            f"{reverse('console:queue')}?status=decided",
            f"{reverse('console:queue')}?uploader=某人&band=exact",
            f"{reverse('console:undo')}?batches={batch.pk}",
            reverse("moderation-dashboard"),
            reverse("admin:moderation_listimport_export"),
        ]
        for model, shown in admin.site._registry.items():
            if model._meta.app_label != "moderation":
                continue
            name = f"admin:moderation_{model._meta.model_name}"
            found.append(reverse(f"{name}_changelist"))
            row = model._default_manager.first()
            if row is not None:
                found.append(reverse(f"{name}_change", args=[row.pk]))
            if getattr(shown, "add_action", None):
                found.append(reverse(f"{name}_add"))
        return found


class Reader(HTMLParser):
    """Collects what a person reads or hears on a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[bool] = []
        """For each open element, whether what is in it is shown."""
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_icon = "material-symbols" in (given.get("class") or "")
        is_shown = all(self.open[-1:]) and tag not in HIDDEN and not is_icon
        if is_shown:
            self.said += [given[name] or "" for name in SAID if name in given]
        if tag not in VOID:
            self.open.append(is_shown)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self.open:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if all(self.open[-1:]):
            self.said.append(data)


def english(html: str) -> set[str]:
    """Return the English words of a page. Hashes are no words."""
    reader = Reader()
    reader.feed(html)
    # Neither a hash nor the name of an event, such as item.ready, is a word.
    said = re.sub(r"\b[0-9a-f]{12,}\b|\b[a-z]+\.[a-z_]+\b", "", " ".join(reader.said))
    words = re.findall(r"[A-Za-z_]{2,}", said)
    return {word for word in words if word not in DATA}


@pytest.mark.slow
def test_no_english_is_left(superuser: User, client: Client) -> None:
    there = Moderation(superuser)
    client.force_login(superuser)
    left = {}
    for address in there.addresses():
        page = client.get(address, headers=CHINESE, follow=True)
        assert page.status_code == 200, address
        if "<html" in page.text:
            assert 'lang="zh-hans"' in page.text, address
        if words := english(page.text):
            left[address] = words
    for a, w in left.items():
        print(a, sorted(w))
    assert not left

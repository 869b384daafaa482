"""The history of a row in the admin is what the audit says of it."""

from __future__ import annotations

import html

import pytest
from django.test import Client
from django.urls import reverse

from moderation.access.permissions import Actor, Role
from moderation.cases import deciding
from tests.moderation.factories import make_case, make_item, make_list, make_person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]


def history(client: Client, name: str, pk: int) -> str:
    return html.unescape(client.get(reverse(f"admin:{name}_history", args=[pk])).text)


def test_leads_read_what_was_done(client: Client) -> None:
    lead, moderator = make_person(Role.LEAD, "lee"), make_person(Role.MODERATOR, "ann")
    case, other = (make_case(make_item(make_list())) for _ in range(2))
    deciding.decide(by=Actor.person(lead), case_ids=[case.pk], verb="dismiss", note="A cat.")
    client.force_login(lead)
    found = history(client, "moderation_reviewcase", case.pk)
    assert "dismissed" in found and "Lee" not in found and "lee" in found
    assert f"?q=case%20{case.pk}" in found
    assert "The audit has nothing about it." in history(client, "moderation_reviewcase", other.pk)
    client.force_login(moderator)
    assert "which leads can see" in history(client, "moderation_reviewcase", case.pk)

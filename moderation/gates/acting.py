"""What gates that are told after the fact do to the other program, and its record in the audit."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any, Final

from django.db import transaction

from gallery.items import conf
from gallery.net.transport import FetchPolicy
from moderation.access.permissions import Actor
from moderation.audit import trail
from moderation.cases.models import ReviewCase
from moderation.gates.policies import Judged

EVERYWHERE: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def request_policy() -> FetchPolicy:
    """Return the limits for requests to an address of the settings.

    The operator has chosen it, so it may be on a private network. Redirects are not followed: they
    could lead to another host there.
    """
    return replace(conf.fetch_policy(), allow_private=EVERYWHERE, max_redirects=0)


@transaction.atomic
def record(by: Actor, verb: str, judged: Judged, after: dict[str, Any]) -> None:
    subject = ReviewCase if judged.case is None else judged.case
    trail.record(by=by.name, verb=verb, subject=subject, after=after)

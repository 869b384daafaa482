"""What each action is called, and the sentence that says who did it: the one place for words.

A phrase follows the name of who acted. Its fields, such as ``{about}``, are filled in by
``sentences``. An action that the code writes and that is missing here fails a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from moderation.access.words import WORDS

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


@dataclass(frozen=True)
class Wording:
    """``name``: for lists of actions to choose from. ``phrase``: of a sentence. ``variants``: the
    phrase in cases that ``sentences`` tells apart."""

    name: _StrPromise
    phrase: _StrPromise
    variants: Mapping[str, _StrPromise] = field(default_factory=dict)


LOOK: Final = "media.seen"
"""The action whose events are folded: many looks by one person in a row are one line."""


def _of_items(item: str) -> dict[str, Wording]:
    """Return the wordings of images, or of videos. Their actions are the same."""
    phrases = {
        "added": (_("added"), _("added {about}")),
        "published": (_("published"), _("published {about}")),
        "updated": (_("changed"), _("changed {fields} of {about}")),
        "deleted": (_("deleted"), _("deleted {about}")),
        "quarantined": (_("quarantined"), _("quarantined {about}")),
        "released": (_("released"), _("released {about}")),
        "failed": (_("failed"), _("could not read {about}")),
        "retried": (_("tried again"), _("tried {about} again")),
        "files_deleted": (_("files deleted"), _("deleted the files of {about}")),
        "withholding_overridden": (
            _("evidence overridden"),
            _("overrode what cases withhold: {about}"),
        ),
    }
    return {f"{item}.{verb}": Wording(*words) for verb, words in phrases.items()}


def _of_entries(one: str, many: str) -> dict[str, Wording]:
    """Return the wordings of items of lists: an action on several has a name of its own."""
    phrases = {
        "added": (_("added"), _("added {about} to the list {list}")),
        "changed": (_("changed"), _("changed {fields} of {about}")),
        "retired": (_("retired"), _("retired {about}")),
        "activated": (_("activated"), _("activated {about}")),
        "opinion_given": (_("opinion given"), _("called {about} {after}")),
        "moved": (_("moved"), _("moved {about} to the list {list}")),
        "suspended": (_("suspended"), _("suspended {about}")),
        "suspension_lifted": (_("suspension lifted"), _("lifted the suspension of {about}")),
        "described": (_("described"), _("made the vectors of {about}")),
        "exported": (_("exported"), _("exported {about}")),
    }
    alone = {"described", "exported"}
    found = {}
    for verb, (name, phrase) in phrases.items():
        if verb not in alone:
            found[f"{one}.{verb}"] = Wording(name, phrase)
        several = name if verb in alone else format_lazy(_("{name} (several)"), name=name)
        found[f"{many}.{verb}"] = Wording(several, phrase)
    return found


GROUPS: Final[Mapping[_StrPromise, Mapping[str, Wording]]] = {
    _("Cases"): {
        "case.opened": Wording(_("opened"), _("opened {about}")),
        "case.extended": Wording(_("more matches"), _("found more matches for {about}")),
        "case.confirmed": Wording(
            _("confirmed"),
            _("confirmed {cases}"),
            {
                "first": _("voted to confirm {cases}, the first of two votes"),
                "second": _("voted to confirm {cases}, unlike the first vote"),
            },
        ),
        "case.dismissed": Wording(
            _("dismissed"),
            _("dismissed {cases}"),
            {
                "first": _("voted to dismiss {cases}, the first of two votes"),
                "second": _("voted to dismiss {cases}, unlike the first vote"),
            },
        ),
        "case.escalated": Wording(_("escalated"), _("escalated {cases}")),
        "case.appealed": Wording(_("appealed"), _("appealed {cases}")),
        "case.undone": Wording(_("undone"), _("undid the {decision} of {cases}")),
        "case.judged_again": Wording(_("second opinion"), _("gave a second opinion on {about}")),
        "case.legal_hold_set": Wording(_("legal hold set"), _("set a legal hold on {about}")),
        "case.legal_hold_lifted": Wording(
            _("legal hold lifted"), _("lifted the legal hold of {about}")
        ),
        "case.picture_deleted": Wording(
            _("pictures deleted"), _("deleted the pictures of {about}")
        ),
        "case.exported": Wording(_("report exported"), _("exported the report of {about}")),
        "decision.exported": Wording(_("decisions exported"), _("exported {about}")),
        "golden.added": Wording(_("golden case made"), _("made {about} a golden case")),
        "golden.removed": Wording(_("golden case removed"), _("made {about} golden no more")),
        "golden.answered": Wording(_("golden case answered"), _("answered the golden {about}")),
        "golden.taken_back": Wording(
            _("golden answer taken back"), _("took the answer to the golden {about} back")
        ),
        "golden.share_changed": Wording(
            _("share of golden cases"), _("changed how often golden cases come: {changes}")
        ),
        LOOK: Wording(_("looked clearly"), _("looked clearly at {about} ({what})")),
        "preference.changed": Wording(
            _("way to look changed"), _("changed how media is shown to them: {changes}")
        ),
        "query.refused": Wording(_("search refused"), _("refused a search with a banned picture")),
        "sharedsearch.shared": Wording(_("search shared"), _("shared a search with an upload")),
        "check.probing": Wording(_("probing"), _("checked many variants of {about}")),
        "gate.object_tagged": Wording(
            _("stored object refused"), _("sent {what}, which was tagged")
        ),
        "gate.object_deleted": Wording(
            _("stored object deleted"), _("sent {what}, which was deleted")
        ),
        "gate.post_reported": Wording(_("post reported"), _("reported {what}")),
    },
    _("Reports"): {
        "notice.received": Wording(_("notice received"), _("sent {about}")),
        "notice.contact_seen": Wording(_("sender seen"), _("looked who sent {about}")),
        "notice.contacts_deleted": Wording(_("senders deleted"), _("deleted who sent {about}")),
        "case.cybertip_drafted": Wording(
            _("CyberTip draft"), _("downloaded a CyberTip draft of {about}")
        ),
        "transparency.exported": Wording(_("month exported"), _("exported the numbers of {month}")),
    },
    _("Lists"): {
        "list.created": Wording(_("created"), _("created the list {about}")),
        "list.changed": Wording(_("changed"), _("changed the list {about}: {changes}")),
        "list.method_changed": Wording(
            _("match type changed"), _("changed {method} of the list {about}: {changes}")
        ),
        "bank.ratio_set": Wording(
            _("ratio of a bank set"), _("changed which share of look-ups sees {about}: {changes}")
        ),
        "bank.content_enabled": Wording(
            _("shown by HMA's API again"), _("showed {about} to clients of HMA's API again")
        ),
        "bank.content_disabled": Wording(
            _("hidden from HMA's API"), _("hid {about} from clients of HMA's API")
        ),
        "list.deleted": Wording(_("deleted"), _("deleted the list {about}")),
        "list.imported": Wording(_("imported"), _("imported {file} into the list {about}")),
        "list.exported": Wording(_("exported"), _("exported the list {about}")),
        "import.discarded": Wording(_("import discarded"), _("discarded the import {about}")),
        "import.undone": Wording(_("import undone"), _("undid the import {about}")),
        "import.retried": Wording(_("import tried again"), _("tried the import {about} again")),
        "scan.all_started": Wording(_("scans started"), _("started scans for all lists")),
        "change.asked": Wording(_("change asked for"), _("asked for {about}")),
        "change.confirmed": Wording(_("change confirmed"), _("confirmed {about}")),
        "change.refused": Wording(_("change refused"), _("refused {about}")),
    },
    _("Items"): _of_entries("item", "items"),
    _("Images"): {
        **_of_items("image"),
        "image.moved_in": Wording(_("moved in"), _("moved in {about}")),
        "image.picture_fetched": Wording(_("picture fetched"), _("fetched the picture of {about}")),
        "image.link_changed": Wording(
            _("link changed"), _("saw another picture at the link of {about}")
        ),
        "image.link_restored": Wording(_("link restored"), _("saw the picture of {about} again")),
        "image.told_apart": Wording(_("no duplicates"), _("marked {about} as no duplicate")),
        "image.exported": Wording(_("exported"), _("exported {about}")),
    },
    _("Videos"): {
        **_of_items("video"),
        "video.reindexing": Wording(_("indexing asked for"), _("asked to index {about} again")),
        "video.reindexed": Wording(_("indexed again"), _("indexed {about} again")),
        "video.moved_in": Wording(_("moved in"), _("moved in {about}")),
        "video.exported": Wording(_("exported"), _("exported {about}")),
    },
    _("People"): {
        "user.logged_in": Wording(
            _("logged in"), _("logged in"), {"from": _("logged in from {from}")}
        ),
        "user.logged_out": Wording(_("logged out"), _("logged out")),
        "user.login_failed": Wording(
            _("login failed"),
            _("failed to log in"),
            {
                "as": _("failed to log in as {about}"),
                "from": _("failed to log in from {from}"),
                "as from": _("failed to log in as {about} from {from}"),
            },
        ),
        "user.locked_out": Wording(
            _("locked out"),
            _("tried too often to log in"),
            {
                "as": _("tried too often to log in as {about}"),
                "from": _("tried too often to log in from {from}"),
                "as from": _("tried too often to log in as {about} from {from}"),
            },
        ),
        "user.created": Wording(_("account made"), _("made the account {about}")),
        "user.invited": Wording(_("invited"), _("invited {about}")),
        "user.password_changed": Wording(_("password set"), _("set the password of {about}")),
        "user.role_given": Wording(_("role given"), _("gave {about} the role {roles}")),
        "user.role_taken": Wording(_("role taken"), _("took the role {roles} from {about}")),
        "user.rights_changed": Wording(
            _("rights changed"), _("changed the rights of {about}: {changes}")
        ),
        "user.permissions_given": Wording(_("permissions given"), _("gave {about} {permissions}")),
        "user.permissions_taken": Wording(
            _("permissions taken"), _("took {permissions} from {about}")
        ),
        "group.permissions_given": Wording(
            _("permissions given to a group"), _("gave the group {about} {permissions}")
        ),
        "group.permissions_taken": Wording(
            _("permissions taken from a group"), _("took {permissions} from the group {about}")
        ),
        "user.second_factor_set": Wording(_("second factor set up"), _("set up a second factor")),
        "user.second_factor_removed": Wording(
            _("second factor removed"), _("removed the second factor of {about}")
        ),
        "user.second_factor_reset": Wording(
            _("second factor reset"), _("reset the second factor of {about}")
        ),
        "user.recovery_codes_made": Wording(_("recovery codes made"), _("made new recovery codes")),
        "user.recovery_code_used": Wording(_("recovery code used"), _("used a recovery code")),
        "key.made": Wording(_("key made"), _("made the key {about}")),
        "key.changed": Wording(_("key changed"), _("changed the key {about}")),
        "key.revoked": Wording(_("key revoked"), _("revoked the key {about}")),
    },
    _("Hash exchanges"): {
        "exchange.created": Wording(_("exchange created"), _("created the exchange {about}")),
        "exchange.changed": Wording(
            _("exchange changed"), _("changed the exchange {about}: {changes}")
        ),
        "exchange.deleted": Wording(_("exchange deleted"), _("deleted the exchange {about}")),
        "exchange.pull_asked": Wording(_("pull asked for"), _("asked for a pull from {about}")),
        "exchange.pull_undone": Wording(_("pull undone"), _("undid the latest pull from {about}")),
        "exchange.asked_about_stored": Wording(
            _("asked about what is stored"), _("had {about} asked about all that is stored")
        ),
        "exchange.feedback_sent": Wording(_("feedback sent"), _("sent feedback to {about}")),
        "exchange.feedback_retried": Wording(
            _("refused feedback sent again"), _("sent what {about} refused again")
        ),
    },
    _("Webhooks and audit"): {
        "webhook.created": Wording(_("webhook created"), _("created the webhook {about}")),
        "webhook.changed": Wording(
            _("webhook changed"), _("changed the webhook {about}: {changes}")
        ),
        "webhook.secret_renewed": Wording(
            _("secret renewed"), _("renewed the secret of the webhook {about}")
        ),
        "webhook.deleted": Wording(_("webhook deleted"), _("deleted the webhook {about}")),
        "webhook.tested": Wording(_("webhook tested"), _("sent a test to the webhook {about}")),
        "webhook.tried_again": Wording(_("messages sent again"), _("sent {about} again")),
        "auditevent.exported": Wording(_("audit exported"), _("exported {about} of the audit")),
    },
    _("Operations"): {
        "backup.started": Wording(_("backup started"), _("started a backup")),
        "duplicates.started": Wording(
            _("search for duplicates started"), _("started a search for duplicates")
        ),
        "task.retried": Wording(_("failed tasks retried"), _("queued failed tasks again")),
    },
}
"""What it is about → action → its wording."""

WORDINGS: Final[Mapping[str, Wording]] = {
    verb: wording for group in GROUPS.values() for verb, wording in group.items()
}

ACTORS: Final[Mapping[str, _StrPromise]] = {
    "worker": _("A worker"),
    "command": _("A command on the server"),
    "gate": _("The publishing gate"),
    "gate:mastodon": _("The gate of Mastodon"),
    "links": _("The check of links"),
    "search": _("The search"),
    "scan": _("A scan of stored content"),
    "flood guard": _("The flood guard"),
    "open": _("A client of the open network"),
    "uploader": _("The uploader"),
    "none": _("Somebody"),
}
"""Actors that are neither a person nor a key, at the beginning of a sentence."""

DECISIONS: Final[Mapping[str, _StrPromise]] = {
    "voted": _("vote"),
    "conflict": _("vote"),
    "confirmed": _("confirmation"),
    "dismissed": _("dismissal"),
    "escalated": _("escalation"),
    "appealed": _("appeal"),
}
"""The state that a decision led to → the decision as a noun."""

VALUES: Final[Mapping[str, Mapping[object, _StrPromise]]] = {
    "severity": {
        1: WORDS["low"],
        2: WORDS["medium"],
        3: WORDS["high"],
        4: WORDS["critical"],
    },
    **{name: {None: _("the default")} for name in ("threshold", "observe", "flood_limit")},
    "allows_for": {(): _("all lists")},
}
"""Field → its values in words."""

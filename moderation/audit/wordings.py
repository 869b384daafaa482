"""What each action is called, and the sentence that says who did it: the one place for words.

A phrase follows the name of who acted. Its fields, such as ``{about}``, are filled in by
``sentences``. An action that the code writes and that is missing here fails a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Wording:
    """``name``: for lists of actions to choose from. ``phrase``: of a sentence."""

    name: str
    phrase: str


LOOK: Final = "media.seen"
"""The action whose events are folded: many looks by one person in a row are one line."""


def _of_items(item: str) -> dict[str, Wording]:
    """Return the wordings of images, or of videos. Their actions are the same."""
    phrases = {
        "added": ("added", "added {about}"),
        "published": ("published", "published {about}"),
        "updated": ("changed", "changed {fields} of {about}"),
        "deleted": ("deleted", "deleted {about}"),
        "quarantined": ("quarantined", "quarantined {about}"),
        "released": ("released", "released {about}"),
        "failed": ("failed", "could not read {about}"),
        "retried": ("tried again", "tried {about} again"),
        "files_deleted": ("files deleted", "deleted the files of {about}"),
        "withholding_overridden": ("evidence overridden", "overrode what cases withhold: {about}"),
    }
    return {f"{item}.{verb}": Wording(*words) for verb, words in phrases.items()}


def _of_entries(one: str, many: str) -> dict[str, Wording]:
    """Return the wordings of items of lists: an action on several has a name of its own."""
    phrases = {
        "added": ("added", "added {about} to the list {list}"),
        "changed": ("changed", "changed {fields} of {about}"),
        "retired": ("retired", "retired {about}"),
        "activated": ("activated", "activated {about}"),
        "opinion_given": ("opinion given", "called {about} {after}"),
        "moved": ("moved", "moved {about} to the list {list}"),
        "suspended": ("suspended", "suspended {about}"),
        "suspension_lifted": ("suspension lifted", "lifted the suspension of {about}"),
        "described": ("described", "made the vectors of {about}"),
        "exported": ("exported", "exported {about}"),
    }
    alone = {"described", "exported"}
    found = {}
    for verb, (name, phrase) in phrases.items():
        if verb not in alone:
            found[f"{one}.{verb}"] = Wording(name, phrase)
        found[f"{many}.{verb}"] = Wording(name if verb in alone else f"{name} (several)", phrase)
    return found


GROUPS: Final[Mapping[str, Mapping[str, Wording]]] = {
    "Cases": {
        "case.opened": Wording("opened", "opened {about}"),
        "case.extended": Wording("more matches", "found more matches for {about}"),
        "case.confirmed": Wording("confirmed", "{confirmed} {cases}{vote}"),
        "case.dismissed": Wording("dismissed", "{dismissed} {cases}{vote}"),
        "case.escalated": Wording("escalated", "escalated {cases}"),
        "case.appealed": Wording("appealed", "appealed {cases}"),
        "case.undone": Wording("undone", "undid the {decision} of {cases}"),
        "case.judged_again": Wording("second opinion", "gave a second opinion on {about}"),
        "case.legal_hold_set": Wording("legal hold set", "set a legal hold on {about}"),
        "case.legal_hold_lifted": Wording("legal hold lifted", "lifted the legal hold of {about}"),
        "case.picture_deleted": Wording("pictures deleted", "deleted the pictures of {about}"),
        "case.exported": Wording("report exported", "exported the report of {about}"),
        "decision.exported": Wording("decisions exported", "exported {about}"),
        "golden.added": Wording("golden case made", "made {about} a golden case"),
        "golden.removed": Wording("golden case removed", "made {about} golden no more"),
        "golden.answered": Wording("golden case answered", "answered the golden {about}"),
        "golden.taken_back": Wording(
            "golden answer taken back", "took the answer to the golden {about} back"
        ),
        "golden.share_changed": Wording(
            "share of golden cases", "changed how often golden cases come: {changes}"
        ),
        LOOK: Wording("looked clearly", "looked clearly at {about} ({what})"),
        "preference.changed": Wording(
            "way to look changed", "changed how media is shown to them: {changes}"
        ),
        "query.refused": Wording("search refused", "refused a search with a banned picture"),
        "sharedsearch.shared": Wording("search shared", "shared a search with a picture"),
        "check.probing": Wording("probing", "checked many variants of {about}"),
        "gate.object_tagged": Wording("stored object refused", "sent {what}, which was tagged"),
        "gate.object_deleted": Wording("stored object deleted", "sent {what}, which was deleted"),
        "gate.post_reported": Wording("post reported", "reported {what}"),
    },
    "Reports": {
        "notice.received": Wording("notice received", "sent {about}"),
        "notice.contact_seen": Wording("sender seen", "looked who sent {about}"),
        "notice.contacts_deleted": Wording("senders deleted", "deleted who sent {about}"),
        "case.cybertip_drafted": Wording(
            "CyberTip draft", "downloaded a CyberTip draft of {about}"
        ),
        "transparency.exported": Wording("month exported", "exported the numbers of {month}"),
    },
    "Lists": {
        "list.created": Wording("created", "created the list {about}"),
        "list.changed": Wording("changed", "changed the list {about}: {changes}"),
        "list.method_changed": Wording(
            "match type changed", "changed {method} of the list {about}: {changes}"
        ),
        "bank.ratio_set": Wording(
            "ratio of a bank set", "changed which share of look-ups sees {about}: {changes}"
        ),
        "bank.content_enabled": Wording(
            "shown by HMA's API again", "showed {about} to clients of HMA's API again"
        ),
        "bank.content_disabled": Wording(
            "hidden from HMA's API", "hid {about} from clients of HMA's API"
        ),
        "list.deleted": Wording("deleted", "deleted the list {about}"),
        "list.imported": Wording("imported", "imported {file} into the list {about}"),
        "list.exported": Wording("exported", "exported the list {about}"),
        "import.discarded": Wording("import discarded", "discarded the import {about}"),
        "import.retried": Wording("import tried again", "tried the import {about} again"),
        "scan.all_started": Wording("scans started", "started scans for all lists"),
        "change.asked": Wording("change asked for", "asked for {about}"),
        "change.confirmed": Wording("change confirmed", "confirmed {about}"),
        "change.refused": Wording("change refused", "refused {about}"),
    },
    "Items": _of_entries("item", "items"),
    "Images": {
        **_of_items("image"),
        "image.moved_in": Wording("moved in", "moved in {about}"),
        "image.picture_fetched": Wording("picture fetched", "fetched the picture of {about}"),
        "image.link_changed": Wording("link changed", "saw another picture at the link of {about}"),
        "image.link_restored": Wording("link restored", "saw the picture of {about} again"),
        "image.told_apart": Wording("no duplicates", "marked {about} as no duplicate"),
        "image.exported": Wording("exported", "exported {about}"),
    },
    "Videos": {
        **_of_items("video"),
        "video.reindexing": Wording("indexing asked for", "asked to index {about} again"),
        "video.reindexed": Wording("indexed again", "indexed {about} again"),
    },
    "People": {
        "user.logged_in": Wording("logged in", "logged in{from}"),
        "user.logged_out": Wording("logged out", "logged out"),
        "user.login_failed": Wording("login failed", "failed to log in{as}{from}"),
        "user.locked_out": Wording("locked out", "tried too often to log in{as}{from}"),
        "user.created": Wording("account made", "made the account {about}"),
        "user.invited": Wording("invited", "invited {about}"),
        "user.password_changed": Wording("password set", "set the password of {about}"),
        "user.role_given": Wording("role given", "gave {about} the role {roles}"),
        "user.role_taken": Wording("role taken", "took the role {roles} from {about}"),
        "user.rights_changed": Wording(
            "rights changed", "changed the rights of {about}: {changes}"
        ),
        "user.permissions_given": Wording("permissions given", "gave {about} {permissions}"),
        "user.permissions_taken": Wording("permissions taken", "took {permissions} from {about}"),
        "group.permissions_given": Wording(
            "permissions given to a group", "gave the group {about} {permissions}"
        ),
        "group.permissions_taken": Wording(
            "permissions taken from a group", "took {permissions} from the group {about}"
        ),
        "user.second_factor_set": Wording("second factor set up", "set up a second factor"),
        "user.second_factor_removed": Wording(
            "second factor removed", "removed the second factor of {about}"
        ),
        "user.second_factor_reset": Wording(
            "second factor reset", "reset the second factor of {about}"
        ),
        "user.recovery_codes_made": Wording("recovery codes made", "made new recovery codes"),
        "user.recovery_code_used": Wording("recovery code used", "used a recovery code"),
        "key.made": Wording("key made", "made the key {about}"),
        "key.changed": Wording("key changed", "changed the key {about}"),
        "key.revoked": Wording("key revoked", "revoked the key {about}"),
    },
    "Webhooks and audit": {
        "webhook.created": Wording("webhook created", "created the webhook {about}"),
        "webhook.changed": Wording("webhook changed", "changed the webhook {about}: {changes}"),
        "webhook.secret_renewed": Wording(
            "secret renewed", "renewed the secret of the webhook {about}"
        ),
        "webhook.deleted": Wording("webhook deleted", "deleted the webhook {about}"),
        "webhook.tested": Wording("webhook tested", "sent a test to the webhook {about}"),
        "webhook.tried_again": Wording("messages sent again", "sent {about} again"),
        "auditevent.exported": Wording("audit exported", "exported {about} of the audit"),
    },
    "Operations": {
        "backup.started": Wording("backup started", "started a backup"),
        "duplicates.started": Wording(
            "search for duplicates started", "started a search for duplicates"
        ),
        "task.retried": Wording("failed tasks retried", "queued failed tasks again"),
    },
}
"""What it is about → action → its wording."""

WORDINGS: Final[Mapping[str, Wording]] = {
    verb: wording for group in GROUPS.values() for verb, wording in group.items()
}

ACTORS: Final[Mapping[str, str]] = {
    "worker": "A worker",
    "command": "A command on the server",
    "gate": "The publishing gate",
    "gate:mastodon": "The gate of Mastodon",
    "links": "The check of links",
    "search": "The search",
    "scan": "A scan of stored content",
    "flood guard": "The flood guard",
    "open": "A client of the open network",
    "uploader": "The uploader",
    "none": "Somebody",
}
"""Actors that are neither a person nor a key, at the beginning of a sentence."""

DECISIONS: Final[Mapping[str, str]] = {
    "voted": "vote",
    "conflict": "vote",
    "confirmed": "confirmation",
    "dismissed": "dismissal",
    "escalated": "escalation",
    "appealed": "appeal",
}
"""The state that a decision led to → the decision as a noun."""

VALUES: Final[Mapping[str, Mapping[object, str]]] = {
    "severity": {1: "low", 2: "medium", 3: "high", 4: "critical"},
    **{name: {None: "the default"} for name in ("threshold", "observe", "flood_limit")},
    "allows_for": {(): "all lists"},
}
"""Field → its values in words."""

"""Audit events as sentences with links: "ana undid the confirmation of case 5 (post-1040)"."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from string import Formatter
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from gallery.shared import readable
from moderation.access.words import field_name, word
from moderation.audit.models import AuditEvent
from moderation.audit.wordings import ACTORS, DECISIONS, VALUES, WORDINGS

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

NAMED: Final = 3
"""Rows of an event about many that its sentence names; it counts the others."""
LONGEST_VALUE: Final = 60
NOTHING: Final = _("nothing")
CASE: Final = "moderation.reviewcase"
USER: Final = "auth.user"


@dataclass(frozen=True)
class Kind:
    """What rows of a table are called. ``one``: in searches. ``numbered``, ``counted``: in
    sentences, with ``number``. ``page``: the URL name of a row's page. ``named_by``: the columns of
    which the first that is filled is the row's name. ``named``: the name alone says which row it
    is."""

    one: str
    numbered: _StrPromise
    counted: _StrPromise
    page: str = ""
    named_by: tuple[str, ...] = ()
    named: bool = False


KINDS: Final[Mapping[str, Kind]] = {
    "gallery.image": Kind(
        "image",
        _("image %(number)s"),
        ngettext_lazy("%(number)s image", "%(number)s images", "count"),
        "admin:gallery_image_change",
        ("data_id",),
    ),
    "videos.video": Kind(
        "video",
        _("video %(number)s"),
        ngettext_lazy("%(number)s video", "%(number)s videos", "count"),
        "admin:videos_video_change",
        ("data_id",),
    ),
    CASE: Kind(
        "case",
        _("case %(number)s"),
        ngettext_lazy("%(number)s case", "%(number)s cases", "count"),
        "console:case",
        ("image__data_id", "video__data_id", "evidence__data_id"),
    ),
    "moderation.decisionbatch": Kind(
        "batch",
        _("batch %(number)s"),
        ngettext_lazy("%(number)s batch", "%(number)s batches", "count"),
        "console:batch",
    ),
    "moderation.decision": Kind(
        "decision",
        _("decision %(number)s"),
        ngettext_lazy("%(number)s decision", "%(number)s decisions", "count"),
    ),
    "moderation.banneditem": Kind(
        "item",
        _("item %(number)s"),
        ngettext_lazy("%(number)s item", "%(number)s items", "count"),
        "admin:moderation_banneditem_change",
        ("source_id",),
    ),
    "moderation.bannedlist": Kind(
        "list",
        _("list %(number)s"),
        ngettext_lazy("%(number)s list", "%(number)s lists", "count"),
        "admin:moderation_bannedlist_change",
        ("name",),
        named=True,
    ),
    "moderation.listimport": Kind(
        "import",
        _("import %(number)s"),
        ngettext_lazy("%(number)s import", "%(number)s imports", "count"),
        "admin:moderation_listimport_change",
        ("file_name",),
    ),
    "moderation.listchange": Kind(
        "change",
        _("change %(number)s"),
        ngettext_lazy("%(number)s change", "%(number)s changes", "count"),
        "admin:moderation_listchange_change",
        ("list_name",),
    ),
    "moderation.webhook": Kind(
        "webhook",
        _("webhook %(number)s"),
        ngettext_lazy("%(number)s webhook", "%(number)s webhooks", "count"),
        "admin:moderation_webhook_change",
        ("name",),
        named=True,
    ),
    "moderation.exchange": Kind(
        "exchange",
        _("exchange %(number)s"),
        ngettext_lazy("%(number)s exchange", "%(number)s exchanges", "count"),
        "admin:moderation_exchange_change",
        ("name",),
        named=True,
    ),
    "moderation.delivery": Kind(
        "message",
        _("message %(number)s"),
        ngettext_lazy("%(number)s message", "%(number)s messages", "count"),
    ),
    "moderation.notice": Kind(
        "notice",
        _("notice %(number)s"),
        ngettext_lazy("%(number)s notice", "%(number)s notices", "count"),
        "console:notice",
    ),
    "moderation.auditevent": Kind(
        "event",
        _("event %(number)s"),
        ngettext_lazy("%(number)s event", "%(number)s events", "count"),
    ),
    USER: Kind(
        "account",
        _("account %(number)s"),
        ngettext_lazy("%(number)s account", "%(number)s accounts", "count"),
        "admin:auth_user_change",
        ("username",),
        named=True,
    ),
    "auth.group": Kind(
        "group",
        _("group %(number)s"),
        ngettext_lazy("%(number)s group", "%(number)s groups", "count"),
        "admin:auth_group_change",
        ("name",),
        named=True,
    ),
    "imgsmlr_site.apikey": Kind(
        "key",
        _("key %(number)s"),
        ngettext_lazy("%(number)s key", "%(number)s keys", "count"),
        "admin:imgsmlr_site_apikey_change",
        ("name",),
        named=True,
    ),
}
"""Table → what its rows are called."""
Ref = tuple[str, int]
"""A row: table and id."""


@dataclass(frozen=True)
class Part:
    """A piece of a sentence, perhaps a link."""

    text: str
    url: str = ""


Parts = list[Part]


@dataclass(frozen=True)
class Names:
    """The names of the rows that some events are about, read with one query for each table.

    A row that is not in ``found`` was deleted: it has no link, nor have rows of ``unlinked``.
    """

    found: Mapping[Ref, str]
    unlinked: Collection[str] = ()

    @classmethod
    def of(cls, events: Iterable[AuditEvent], unlinked: Collection[str] = ()) -> Names:
        """``unlinked``: tables whose pages the reader may not open."""
        wanted: dict[str, set[int]] = {}
        for event in events:
            for label, pk in _rows(event):
                wanted.setdefault(label, set()).add(pk)
        found: dict[Ref, str] = {}
        for label, ids in wanted.items():
            named_by = KINDS[label].named_by
            rows = apps.get_model(label)._default_manager.filter(pk__in=ids).order_by()
            for pk, *names in rows.values_list("pk", *named_by):
                found[label, pk] = next((str(name) for name in names if name), "")
        return cls(found, unlinked)

    def row(self, ref: Ref, known_as: str = "") -> Part:
        """``known_as``: the name of a deleted row, as the event has it."""
        label, pk = ref
        kind, name = KINDS[label], self.found.get(ref) or known_as
        linked = kind.page and ref in self.found and label not in self.unlinked
        url = reverse(kind.page, args=[pk]) if linked else ""
        if kind.named and name:
            return Part(name, url)
        text = str(kind.numbered % {"number": pk})
        return Part(f"{text} ({name})" if name else text, url)


def sentence(event: AuditEvent, names: Names) -> Parts:
    return _filled(
        gettext("{actor} {did}"),
        actor=lambda: actor(event.actor),
        did=lambda: _phrase(event, names),
    )


def _phrase(event: AuditEvent, names: Names) -> Parts:
    wording = WORDINGS.get(event.verb)
    if wording is None:  # of another version of the service
        return _filled(gettext("did {verb}"), verb=lambda: [Part(event.verb)])
    phrase = wording.variants.get(_variant(event), wording.phrase)
    return _filled(
        str(phrase), **{name: partial(field, event, names) for name, field in FIELDS.items()}
    )


def _filled(template: str, **fields: Callable[[], Parts]) -> Parts:
    """Fill in the ``{fields}`` of a text."""
    parts: Parts = []
    for text, name, *_rest in Formatter().parse(template):
        parts += [Part(text)] if text else []
        parts += fields[name]() if name else []
    return parts


def _variant(event: AuditEvent) -> str:
    """Return which of a wording's ``variants`` fits, "" for none."""
    states = _states(event)
    if "conflict" in states:
        return "second"
    if "voted" in states:
        return "first"
    known = {"as": event.subject_id is not None, "from": bool(_facts(event).get("address"))}
    return " ".join(name for name, is_known in known.items() if is_known)


def as_html(parts: Sequence[Part]) -> str:
    return format_html_join(
        "",
        "{}",
        (
            [format_html('<a href="{}">{}</a>', part.url, part.text)]
            if part.url
            else [conditional_escape(part.text)]
            for part in parts
        ),
    )


def as_text(parts: Sequence[Part]) -> str:
    return "".join(part.text for part in parts)


def actor(name: str) -> Parts:
    """Return who acted, at the beginning of a sentence."""
    kind, _colon, rest = name.partition(":")
    if kind == "user" and rest:
        return [Part(rest)]
    if kind == "key" and rest:
        return [Part(gettext("The key %(name)s") % {"name": rest})]
    if kind == "command" and rest:
        return [Part(gettext("The command %(name)s") % {"name": rest})]
    return [Part(str(ACTORS.get(name, name.capitalize())))]


def _facts(event: AuditEvent) -> dict[str, Any]:
    """Return what the event says, ``after`` over ``before``."""
    both = [each for each in (event.before, event.after) if isinstance(each, dict)]
    return {key: value for each in both for key, value in each.items()}


def _ids(event: AuditEvent) -> list[int]:
    """Return the ids of the rows that an event about many names."""
    ids = _facts(event).get("ids")
    return [pk for pk in ids if isinstance(pk, int)] if isinstance(ids, list) else []


def _case_ids(event: AuditEvent) -> list[int]:
    cases = _facts(event).get("cases")
    return [pk for pk in cases if isinstance(pk, int)] if isinstance(cases, list) else []


def _list_ref(event: AuditEvent) -> Ref | None:
    """Return the list onto which items were added or moved."""
    facts = _facts(event)
    pk = facts.get("is") if event.verb.endswith(".moved") else facts.get("list")
    return ("moderation.bannedlist", pk) if isinstance(pk, int) else None


def _rows(event: AuditEvent) -> Iterator[Ref]:
    """Yield the rows that the event's sentence names."""
    if event.subject in KINDS:
        if event.subject_id is not None:
            yield event.subject, event.subject_id
        for pk in _ids(event)[:NAMED]:
            yield event.subject, pk
    for pk in _case_ids(event)[:NAMED]:
        yield CASE, pk
    if event.verb.startswith("item") and (ref := _list_ref(event)):
        yield ref


def _several(label: str, ids: Sequence[int], count: int, names: Names) -> Parts:
    """Name one row, or count several and name the first."""
    kind = KINDS[label]
    if len(ids) == count == 1:
        return [names.row((label, ids[0]))]
    counted = str(kind.counted % {"count": count, "number": f"{count:,}"})
    if not ids:
        return [Part(counted)]
    named: Parts = []
    for number, pk in enumerate(ids[:NAMED]):
        named += [Part(gettext(", "))] if number else []
        named.append(names.row((label, pk)))
    more = count - len(ids[:NAMED])
    template = gettext("{counted} ({named} and {more} more)") if more > 0 else "{counted} ({named})"
    return _filled(
        template,
        counted=lambda: [Part(counted)],
        named=lambda: named,
        more=lambda: [Part(f"{more:,}")],
    )


def _about(event: AuditEvent, names: Names) -> Parts:
    if event.subject not in KINDS:
        return [Part(event.subject.rpartition(".")[2])]
    if event.subject_id is None:
        return _several(event.subject, _ids(event), event.count, names)
    facts = _facts(event)
    known_as = next(
        (str(facts[key]) for key in ("name", "user", "key", "file", "group") if facts.get(key)), ""
    )
    if KINDS[event.subject].named or event.subject == "moderation.listimport":
        return [names.row((event.subject, event.subject_id), known_as)]
    return [names.row((event.subject, event.subject_id))]


def _cases(event: AuditEvent, names: Names) -> Parts:
    ids = _case_ids(event)
    return _several(CASE, ids, len(ids), names) if ids else _about(event, names)


def _decision(event: AuditEvent, names: Names) -> Parts:
    states = event.before.get("states", []) if isinstance(event.before, dict) else []
    nouns = dict.fromkeys(str(DECISIONS.get(state, gettext("decision"))) for state in states)
    return [Part(gettext(" and ").join(nouns) or gettext("decision"))]


def _states(event: AuditEvent) -> list[str]:
    """Return the states that a decision led to."""
    found = event.after.get("states") if isinstance(event.after, dict) else None
    return found if isinstance(found, list) else []


def _list(event: AuditEvent, names: Names) -> Parts:
    ref = _list_ref(event)
    if ref is None:
        return [Part(str(_facts(event).get("list_name", "")))]
    return [names.row(ref, str(_facts(event).get("list_name", "")))]


def _changes(event: AuditEvent, names: Names) -> Parts:
    """Say what was changed to what: "severity from medium to critical, enabled from off to on"."""
    before = event.before if isinstance(event.before, dict) else {}
    after = event.after if isinstance(event.after, dict) else {}
    said = []
    for name, value in after.items():
        if name in ("match_type", "user") or (name in before and before[name] == value):
            continue
        said.append(
            _change(name, before.get(name), value)
            if name in before
            else f"{field_name(name)} {_value(name, value)}"
        )
    return [Part(gettext(", ").join(said) or gettext("nothing"))]


def _change(name: str, before: Any, after: Any) -> str:
    words = {"field": field_name(name), "was": _value(name, before), "now": _value(name, after)}
    if words["was"] == str(NOTHING):
        return gettext("%(field)s set to %(now)s") % words
    if words["now"] == str(NOTHING):
        return gettext("%(field)s %(was)s removed") % words
    return gettext("%(field)s from %(was)s to %(now)s") % words


def _value(name: str, value: Any) -> str:
    """Format a value of a change for the sentence."""
    key = tuple(value) if isinstance(value, list) else value
    words = VALUES.get(name, {})
    if words and not isinstance(value, dict) and key in words:
        return str(words[key])
    if isinstance(value, bool):
        return gettext("on") if value else gettext("off")
    if value is None or value == "" or value == []:
        return str(NOTHING)
    if isinstance(value, float):
        return readable.distance(value)
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _fields(event: AuditEvent, names: Names) -> Parts:
    after = event.after
    if isinstance(after, dict) and isinstance(after.get("is"), dict):
        after = after["is"]
    found = [field_name(key) for key in after] if isinstance(after, dict) else []
    return [Part(gettext(", ").join(found) or gettext("the facts"))]


def _fact(key: str, instead: _StrPromise | str = "") -> Callable[[AuditEvent, Names], Parts]:
    """Return a field that is one fact of the event, or else ``instead``."""

    def parts(event: AuditEvent, names: Names) -> Parts:
        value = _facts(event).get(key)
        if isinstance(value, list):
            value = ", ".join(map(str, value))
        return [Part(str(instead if value in (None, "") else value))]

    return parts


def _seen(event: AuditEvent, names: Names) -> Parts:
    """Say what was looked at: "picture", "item 5", or else media."""
    name, _space, number = str(_facts(event).get("what") or "").partition(" ")
    if name == "item" and number:
        return [Part(gettext("item %(number)s") % {"number": number})]
    return [Part(word(" ".join(filter(None, [name, number]))) or gettext("media"))]


def _opinion(event: AuditEvent, names: Names) -> Parts:
    opinion = str(_facts(event).get("is", "")).replace("_", " ")
    return [Part(gettext("“%(opinion)s”") % {"opinion": word(opinion)})]


FIELDS: Final[Mapping[str, Callable[[AuditEvent, Names], Parts]]] = {
    "about": _about,
    "cases": _cases,
    "decision": _decision,
    "list": _list,
    "changes": _changes,
    "fields": _fields,
    "after": _opinion,
    "what": _seen,
    "method": _fact("match_type", instead=_("a match type")),
    "file": _fact("file", instead=_("a file")),
    "roles": _fact("roles", instead=_("none")),
    "permissions": _fact("permissions", instead=_("permissions")),
    "from": _fact("address"),
    "month": _fact("month", instead=_("a month")),
}
"""The fields of phrases."""


def unlinked(request: HttpRequest) -> frozenset[str]:
    """Return the tables whose pages the person may not open."""
    pages = admin.site._registry
    models = {label: apps.get_model(label) for label in KINDS}
    return frozenset(
        label
        for label, model in models.items()
        if model not in pages or not pages[model].has_view_permission(request, model())
    )

"""Models of lists, items, hashes, vectors, waiting changes and rescans."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable, Iterator
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import HashIndex
from django.db import connection, models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from pgvector.django import VectorField

from gallery.items.vectors import Fingerprint
from moderation.access.words import WORDS
from moderation.lists.thresholds import Thresholds, effective
from moderation.lists.verdicts import HASH_TYPES, PICTURE_TYPES, Action, Severity

ACTIONS = [(action.value, WORDS[action]) for action in Action]
SEVERITIES = [(severity.value, WORDS[severity.name.lower()]) for severity in Severity]
HASH_KINDS = [(kind, kind) for kind in (*HASH_TYPES, "pdq")]


CHUNK_ROWS = 10_000


def _chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), CHUNK_ROWS):
        yield wanted[start : start + CHUNK_ROWS]


class BannedList(models.Model):
    """A named list with one policy.

    ``version`` grows with every change of the list, its thresholds or its items. A verdict records
    the versions of the lists it was made with. New lists have the action ``shadow``.
    """

    class Kind(models.TextChoices):
        """An allow list has priority over the banned lists in ``allows_for``; empty means over
        all.
        """

        BANNED = "banned", pgettext_lazy("code", "Banned")
        ALLOW = "allow", pgettext_lazy("code", "Allow")

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.BANNED)
    category = models.CharField(
        max_length=100, blank=True, help_text=_("what it holds, e.g. terror")
    )
    description = models.TextField(blank=True)
    owner = models.CharField(max_length=160, blank=True, help_text=_("who answers for it"))
    severity = models.PositiveSmallIntegerField(choices=SEVERITIES, default=Severity.MEDIUM)
    action = models.CharField(max_length=8, choices=ACTIONS, default=Action.SHADOW)
    enabled = models.BooleanField(default=True)
    hold_on_review = models.BooleanField(
        default=True, help_text=_("uploads that it sends to review are not published until decided")
    )
    hash_only = models.BooleanField(
        default=False, help_text=_("no picture or thumbnail of its items is ever stored")
    )
    two_person = models.BooleanField(
        default=False, help_text=_("its cases need two independent decisions")
    )
    allows_for = models.ManyToManyField(
        "self",
        symmetrical=False,
        blank=True,
        related_name="allowed_by",
        help_text=_("of an allow list: the lists it outranks; none = all"),
    )
    flood_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text=_(
            "matches of one item in an hour beyond which it only leads to review; empty = "
            "the default"
        ),
    )
    observe_share = models.FloatField(
        default=0.1, help_text=_("share of the matches beyond the threshold that is queued, 0 to 1")
    )
    version = models.PositiveBigIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name = "list"
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=["banned", "allow"]), name="list_kind"),
            models.CheckConstraint(
                condition=Q(action__in=[action.value for action in Action]), name="list_action"
            ),
            models.CheckConstraint(
                condition=Q(observe_share__gte=0, observe_share__lte=1), name="list_observe_share"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_allow_list(self) -> bool:
        return self.kind == BannedList.Kind.ALLOW

    @property
    def is_enforced(self) -> bool:
        return not self.is_allow_list and self.action != Action.SHADOW


class ListMethod(models.Model):
    """How one list uses one match type. Every list has one row for each of ``PICTURE_TYPES``.

    Cryptographic hashes have no row: they are always compared.
    """

    list = models.ForeignKey(BannedList, on_delete=models.CASCADE, related_name="methods")
    match_type = models.CharField(max_length=8, choices=[(name, name) for name in PICTURE_TYPES])
    enabled = models.BooleanField(default=True)
    threshold = models.FloatField(
        null=True, blank=True, help_text=_("inclusive; empty = the default")
    )
    observe = models.FloatField(
        null=True, blank=True, help_text=_("up to here matches are recorded; empty = the default")
    )
    may_block = models.BooleanField(
        default=False, help_text=_("of imgsmlr and clip, which else lead to review at most")
    )

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["list", "match_type"], name="listmethod_once"),
            models.CheckConstraint(
                condition=Q(threshold__isnull=True) | Q(threshold__gte=0),
                name="listmethod_threshold_positive",
            ),
            models.CheckConstraint(
                condition=Q(observe__isnull=True)
                | Q(threshold__isnull=True)
                | Q(observe__gte=F("threshold")),
                name="listmethod_observe_beyond_threshold",
            ),
        ]

    def __str__(self) -> str:
        return gettext("%(match_type)s of list %(number)s") % {
            "match_type": self.match_type,
            "number": self.list_id,
        }

    @property
    def thresholds(self) -> Thresholds:
        return effective(self.match_type, self.threshold, self.observe)


class BannedItemQuerySet(models.QuerySet["BannedItem"]):
    def matching(self) -> Self:
        """Return the items that are matched: active, not expired, and not a false positive."""
        lasting = Q(expires_at__isnull=True) | Q(expires_at__gt=Now())
        return self.filter(lasting, state=BannedItem.State.ACTIVE).exclude(
            opinion=BannedItem.Opinion.FALSE_POSITIVE
        )

    def matching_sql(self, lists: Iterable[int]) -> str:
        """Return SQL that selects the ids of the matched items of these lists, for a statement with
        parameters."""
        # No list has the id 0. It is added because Django makes no SQL for an empty list.
        items = self.matching().filter(list__in=[*lists, 0]).order_by().values("pk")
        with connection.cursor() as cursor:
            sql: bytes = cursor.mogrify(*items.query.sql_with_params())
        return sql.decode().replace("%", "%%")

    def live(self, ids: Iterable[int], lists: Iterable[int]) -> dict[int, BannedItem]:
        """Return those of the items that are matched and are on one of the lists, by id."""
        on = tuple(lists)
        return {
            row.pk: row
            for chunk in _chunks(ids)
            for row in self.matching().filter(list__in=on, pk__in=chunk)
        }


class BannedItem(models.Model):
    """One entry of a list. ``BannedHash`` has its hashes, ``BannedFingerprint`` its vectors.

    ``opinion`` is our own opinion, which no import changes. ``feedback`` is the opinion of the
    list's source.
    """

    class State(models.TextChoices):
        """A retired item is not matched, but is kept as a record."""

        ACTIVE = "active", pgettext_lazy("code", "Active")
        RETIRED = "retired", pgettext_lazy("code", "Retired")

    class Media(models.TextChoices):
        UNKNOWN = "unknown", pgettext_lazy("code", "Unknown")
        IMAGE = "image", pgettext_lazy("code", "Image")
        VIDEO = "video", pgettext_lazy("code", "Video")

    class Opinion(models.TextChoices):
        """Our moderators' opinion. A false positive is not matched, whatever its state."""

        NONE = "none", pgettext_lazy("code", "None")
        CONFIRMED = "confirmed", pgettext_lazy("code", "Confirmed")
        DISPUTED = "disputed", pgettext_lazy("code", "Disputed")
        FALSE_POSITIVE = "false_positive", pgettext_lazy("code", "False Positive")

    list = models.ForeignKey(BannedList, on_delete=models.PROTECT, related_name="items")
    media = models.CharField(max_length=8, choices=Media.choices, default=Media.UNKNOWN)
    source = models.CharField(max_length=255, blank=True, help_text=_("whose entry it is"))
    source_id = models.CharField(max_length=255, blank=True, help_text=_("the entry's id there"))
    state = models.CharField(max_length=8, choices=State.choices, default=State.ACTIVE)
    retired_at = models.DateTimeField(null=True, blank=True)
    retired_because = models.CharField(max_length=255, blank=True)
    opinion = models.CharField(max_length=16, choices=Opinion.choices, default=Opinion.NONE)
    feedback = models.CharField(max_length=16, choices=Opinion.choices, default=Opinion.NONE)
    category = models.CharField(max_length=255, blank=True, help_text=_("the source's own word"))
    severity = models.CharField(max_length=255, blank=True, help_text=_("the source's own word"))
    owner = models.CharField(max_length=255, blank=True, help_text=_("the member that entered it"))
    # Here, ``list`` is the field above.
    tags = ArrayField(models.CharField(max_length=255), default=builtins.list, blank=True)
    note = models.TextField(blank=True)
    updated_at = models.DateTimeField(null=True, blank=True, help_text=_("the source's own time"))
    expires_at = models.DateTimeField(null=True, blank=True, help_text=_("empty = never"))
    picture = models.FileField(
        max_length=200, blank=True, help_text=_("a JPEG of at most 1024 pixels; none of hash-only")
    )
    suspended_at = models.DateTimeField(
        null=True, blank=True, help_text=_("since when it leads to review at most, as it flooded")
    )
    added_by = models.CharField(max_length=160)
    created_at = models.DateTimeField(default=timezone.now)

    objects = BannedItemQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "item"
        indexes = [
            models.Index(fields=["list", "state"], name="banneditem_list_state"),
            models.Index(
                fields=["expires_at"],
                condition=Q(expires_at__isnull=False),
                name="banneditem_expires",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["list", "source", "source_id"],
                condition=~Q(source_id=""),
                name="banneditem_source_once",
            ),
            models.CheckConstraint(
                condition=Q(state="retired") ^ Q(retired_at__isnull=True),
                name="banneditem_retired_at_iff_retired",
            ),
        ]

    def __str__(self) -> str:
        return gettext("item %(number)s") % {"number": self.pk}


def transaction_field() -> models.BigIntegerField:
    """The transaction that inserted the row."""
    return models.BigIntegerField(
        db_default=models.Func(
            models.Func(function="pg_current_xact_id", template="%(function)s()::text"),
            template="(%(expressions)s)::bigint",
            output_field=models.BigIntegerField(),
        ),
        editable=False,
    )


class BannedHashQuerySet(models.QuerySet["BannedHash"]):
    def valued(self, values: Collection[str]) -> Self:
        """Return the hashes with these values. The condition lets both partial indexes be used."""
        return self.filter(Q(kind="pdq", value__in=values) | (~Q(kind="pdq") & Q(value__in=values)))

    def live(self, ids: Iterable[int], lists: Iterable[int]) -> dict[int, BannedHash]:
        """Return those of the hashes whose items are matched and are on one of the lists, by id."""
        on = tuple(lists)
        found: dict[int, BannedHash] = {}
        for chunk in _chunks(ids):
            items = BannedItem.objects.matching().filter(list__in=on)
            rows = self.filter(item__in=items, pk__in=chunk).select_related("item")
            found |= {row.pk: row for row in rows}
        return found


class BannedHash(models.Model):
    """A hash of an item, or of one frame of its video if ``time_ms`` is set.

    ``value``: lower-case hex. ``tx``: the transaction that inserted the row. The hash index uses it
    to find the rows that it may lack.
    """

    item = models.ForeignKey(BannedItem, on_delete=models.CASCADE, related_name="hashes")
    kind = models.CharField(max_length=6, choices=HASH_KINDS)
    value = models.CharField(max_length=64)
    quality = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text=_("of pdq, 0 to 100; empty = not known")
    )
    time_ms = models.PositiveIntegerField(null=True, blank=True)
    tx = transaction_field()

    objects = BannedHashQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        verbose_name = "hash"
        verbose_name_plural = "hashes"
        indexes = [
            models.Index(fields=["value"], condition=~Q(kind="pdq"), name="bannedhash_exact"),
            # For equal hashes. ``moderation.lists.hash_index`` finds near ones.
            HashIndex(fields=["value"], condition=Q(kind="pdq"), name="bannedhash_pdq_value"),
            models.Index(fields=["tx"], condition=Q(kind="pdq"), name="bannedhash_pdq_tx"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["item", "kind", "value"], name="bannedhash_once"),
            models.CheckConstraint(
                condition=Q(value__regex=r"^[0-9a-f]+$"), name="bannedhash_lower_hex"
            ),
            models.CheckConstraint(
                condition=Q(quality__isnull=True) | Q(quality__lte=100), name="bannedhash_quality"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of item {self.item_id}"


class BannedFingerprint(Fingerprint):
    """The vectors of an item's picture, or of a frame of its video if ``time_ms`` is set.

    ``features``: packed local features. ``pattern``: as in ``gallery.ImageDetail``. ``tx``: the
    transaction that wrote the row; a trigger keeps it. There is no approximate index: every row is
    compared, so none is missed.
    """

    item = models.ForeignKey(BannedItem, on_delete=models.CASCADE, related_name="fingerprints")
    time_ms = models.PositiveIntegerField(null=True, blank=True)
    pattern = VectorField(dimensions=4096, null=True)
    features = models.BinaryField(null=True)
    tx = transaction_field()

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(
                fields=["version", "tx"],
                condition=Q(**{f"{column}__isnull": False}),
                name=f"bannedfingerprint_{column}_tx",
            )
            for column in ("cnn", "clip", "pattern")
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["item", "view", "version"], name="bannedfingerprint_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.view} of item {self.item_id}"


class ListChangeQuerySet(models.QuerySet["ListChange"]):
    def waiting(self) -> Self:
        return self.filter(state=ListChange.State.WAITING, expires_at__gt=timezone.now())


class ListChange(models.Model):
    """A requested change that was not made. ``command`` and ``arguments`` say how to make it.

    ``weakens``: what the change weakens, one sentence each. An expired request cannot be confirmed;
    it must be made again.
    """

    class State(models.TextChoices):
        WAITING = "waiting", pgettext_lazy("code", "Waiting")
        APPLIED = "applied", pgettext_lazy("code", "Applied")
        REFUSED = "refused", pgettext_lazy("code", "Refused")

    list = models.ForeignKey(
        BannedList, on_delete=models.SET_NULL, null=True, related_name="changes"
    )
    list_name = models.CharField(max_length=100)
    command = models.CharField(max_length=20)
    arguments = models.JSONField()
    weakens = models.JSONField(default=builtins.list)
    reason = models.CharField(max_length=1000, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    asked_by = models.CharField(max_length=160)
    asker = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text=_("the person who asked, or whose key did"),
    )
    decided_by = models.CharField(max_length=160, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=1000, blank=True, help_text=_("why it was decided so"))
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    objects = ListChangeQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        ordering = ["-id"]
        verbose_name = "change that waits"
        verbose_name_plural = "changes that wait"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state="waiting") ^ models.Q(decided_at__isnull=False),
                name="listchange_decided_at_iff_decided",
            )
        ]

    def __str__(self) -> str:
        return gettext("change %(number)s of %(list)s") % {
            "number": self.pk,
            "list": self.list_name,
        }


class RetroScan(models.Model):
    """A rescan of stored images and videos for the items of a list, or for one ``item``.

    ``position``: the last compared item, where a stopped rescan continues. ``animation``: the last
    image with several frames, which are screened after the items. ``asked``: this rescan looks for
    no items, but asks the list's remote services about stored hashes: source → [id of the last
    row, id of the last one to ask about].
    """

    class State(models.TextChoices):
        PENDING = "pending", pgettext_lazy("code", "Pending")
        RUNNING = "running", pgettext_lazy("code", "Running")
        DONE = "done", pgettext_lazy("code", "Done")
        FAILED = "failed", pgettext_lazy("code", "Failed")

    list = models.ForeignKey(BannedList, on_delete=models.CASCADE, related_name="scans")
    item = models.ForeignKey(
        BannedItem, on_delete=models.CASCADE, null=True, blank=True, related_name="scans"
    )
    after_item = models.PositiveBigIntegerField(
        default=0, help_text=_("only items with a greater id: those that an import added")
    )
    reason = models.CharField(max_length=255)
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    position = models.PositiveBigIntegerField(default=0)
    total = models.PositiveIntegerField(default=0, help_text=_("items to look for"))
    done = models.PositiveIntegerField(default=0)
    animation = models.PositiveBigIntegerField(default=0)
    asked = models.JSONField(null=True, editable=False)
    unseen = models.PositiveIntegerField(
        default=0,
        help_text=_(
            "animations whose later frames could not be compared: their originals are gone"
        ),
    )
    found = models.PositiveIntegerField(default=0, help_text=_("matches within the thresholds"))
    cases = models.PositiveIntegerField(default=0, help_text=_("cases that were opened"))
    failure = models.TextField(blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    added_by = models.CharField(max_length=160)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(state__in=["pending", "running"]),
                name="retroscan_unfinished",
            )
        ]

    def __str__(self) -> str:
        return f"scan {self.pk} of {self.list}"


class Rescreening(models.Model):
    """A stored item that is to be screened again, with the attempts that were begun.

    ``queued``: it waits for a worker. Otherwise a scan has come to it, and tries again by itself.
    """

    kind = models.CharField(max_length=10)
    item = models.PositiveBigIntegerField()
    queued = models.BooleanField(default=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["kind", "item"], name="rescreening_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.item}"

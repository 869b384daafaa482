"""The plain data that the steps of screening exchange: frames, matches, and the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gallery.imaging.descriptors.base import Vector
from gallery.imaging.pixels import fitted
from gallery.imaging.regions import RelativeBox, in_whole
from gallery.shared.jpeg import Quality, encode_jpeg
from moderation.lists.models import BannedItem, BannedList
from moderation.lists.policies import Policies
from moderation.lists.thresholds import Thresholds
from moderation.lists.verdicts import Verdict

Pixels = NDArray[np.uint8]

NO_PIXELS: Final = np.empty((0, 0, 3), np.uint8)
"""The pixels of a frame of which only a hash is known."""

CASE_PICTURE_SIDE: Final = 1024
"""Longest side, in pixels, of the picture that a case stores of content that is not stored."""

FRAMES: Final = "frames"
"""Key of ``Screening.missing``: some frames could not be read."""

COLOURS: Final = "colours"
"""Key of ``Screening.missing``: viewers may show other colours than those compared."""

Place = tuple[int | None, int | None, str]
"""A frame's number, time and rendering; (None, None, "") for a still picture or a whole file."""


@dataclass(frozen=True, slots=True, eq=False)
class ContentFrame:
    """One picture of the content: height × width × 3, upright. ``legacy_rgb``: as imgsmlr reads it.

    ``hashes``: PDQ, 32 bytes each, its own first, or in all eight turns; none below
    ``LOW_QUALITY``. ``vectors``: stored ones of ``copy``; computed if empty. ``frame``: number in
    an animation. ``time_ms``: time in a video. ``rendering``: which of the file's renderings it is,
    "" for the usual one (``imaging.decoding.rendered_pictures``). ``in_parts``: its crops are
    compared too.
    ``near``: places of frames that show nearly the same, for which this one stands. ``part``: the
    part of the frame on the screen that it is, without the borders of its video.
    ``hashes_only``: no model compares its pixels.
    """

    rgb: Pixels
    legacy_rgb: Pixels
    hashes: Sequence[bytes] = ()
    quality: int | None = None
    vectors: Sequence[Vector] = ()
    frame: int | None = None
    time_ms: int | None = None
    rendering: str = ""
    in_parts: bool = False
    near: Sequence[Place] = ()
    part: RelativeBox | None = None
    hashes_only: bool = False

    @property
    def place(self) -> Place:
        return self.frame, self.time_ms, self.rendering

    @property
    def has_pixels(self) -> bool:
        return self.rgb.size > 0

    def on_screen(self, geometry: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Return where the whole frame on the screen shows an item that this part of it shows."""
        if geometry is None or self.part is None:
            return geometry
        shown: dict[str, Any] = {
            "query_region": [in_whole(one, self.part) for one in geometry["query_region"]]
        }
        if "query_box" in geometry:
            shown["query_box"] = in_whole(geometry["query_box"], self.part)
        return {**geometry, **shown}


@dataclass(frozen=True, slots=True)
class ItemMatch:
    """The distance between the content and an item of a list, by one match type.

    ``quality``: of the content's PDQ. ``item_quality``: of the item's PDQ. ``sure``: the evidence
    is good enough to block: the same file, hashes of good quality, or a copy verified by geometry.
    ``whole``: the frame shows nothing that the item does not show. ``doubted``: the item is
    disputed or suspended. ``suspended``: the item was suspended, such as by the flood guard.
    ``item_place``: id of the item's fingerprint or hash. ``geometry``: where in the frame the item
    is. ``edit``: how the item's picture was edited, in words, if it matches only before that edit.
    """

    item_id: int
    list: BannedList
    match_type: str
    distance: float
    thresholds: Thresholds
    sure: bool
    whole: bool = True
    doubted: bool = False
    suspended: bool = False
    from_video: bool = False
    source: str = ""
    quality: int | None = None
    item_quality: int | None = None
    frame: int | None = None
    time_ms: int | None = None
    item_time_ms: int | None = None
    item_place: int = 0
    geometry: Mapping[str, Any] | None = None
    rendering: str = ""
    edit: str = ""
    verdict: Verdict = Verdict.ALLOW

    @classmethod
    def of(
        cls,
        item: BannedItem,
        policies: Policies,
        match_type: str,
        distance: float,
        *,
        frame: ContentFrame | None = None,
        thresholds: Thresholds | None = None,
        **facts: Any,
    ) -> ItemMatch:
        """Match an item of an enabled list. ``thresholds`` replaces the list's own."""
        policy = policies[item.list_id]
        if frame is not None:
            facts |= {
                "quality": frame.quality,
                "frame": frame.frame,
                "time_ms": frame.time_ms,
                "rendering": frame.rendering,
                "geometry": frame.on_screen(facts.get("geometry")),
            }
        return cls(
            item_id=item.pk,
            list=policy.list,
            match_type=match_type,
            distance=distance,
            thresholds=thresholds or policy.thresholds.get(match_type, Thresholds(0.0, 0.0)),
            doubted=item.opinion == BannedItem.Opinion.DISPUTED or item.suspended_at is not None,
            suspended=item.suspended_at is not None,
            from_video=item.media == BannedItem.Media.VIDEO,
            source=item.source,
            **facts,
        )

    @property
    def within(self) -> bool:
        """Whether the distance meets the threshold. If not, the match is a near miss."""
        return self.thresholds.met_by(self.distance)

    @property
    def is_recorded(self) -> bool:
        return self.thresholds.recorded_at(self.distance)

    @property
    def place(self) -> Place:
        return self.frame, self.time_ms, self.rendering

    @property
    def shown_by(self) -> Mapping[str, Any] | None:
        if not self.rendering:
            return self.geometry
        return {**(self.geometry or {}), "rendering": self.rendering}


@dataclass(frozen=True, slots=True, eq=False)
class Screening:
    """The result of screening.

    ``matches``: the matches to record, with verdicts, most important first. ``methods_run``: match
    types that compared all content with everything on the lists. ``partly``: match types that
    compared only some frames → how many, in words. ``list_versions``: list name → version, of the
    enabled lists. ``unhashable``: match types that found nothing to hash. ``missing``: match types,
    ``FRAMES``, ``COLOURS`` or names of remote services → why they could not be compared.
    ``withheld``: until somebody has decided. ``pdq``: of the first frame. ``shown``: the frame of
    the most confident match, or the first frame.
    """

    verdict: Verdict
    matches: Sequence[ItemMatch] = ()
    methods_run: Sequence[str] = ()
    partly: Mapping[str, str] = field(default_factory=dict)
    list_versions: Mapping[str, int] = field(default_factory=dict)
    unhashable: Sequence[str] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    withheld: bool = False
    pdq: bytes | None = None
    shown: Pixels | None = None

    @property
    def within(self) -> list[ItemMatch]:
        """Matches with the verdict ``review`` or ``block``."""
        return [match for match in self.matches if match.verdict != Verdict.ALLOW]

    def jpeg(self) -> bytes:
        """Return ``shown`` as a small JPEG for a case about content that is not stored, or b""."""
        if self.shown is None:
            return b""
        return encode_jpeg(fitted(self.shown, CASE_PICTURE_SIDE), Quality.CASE_PICTURE)

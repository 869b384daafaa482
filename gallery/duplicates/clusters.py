"""Compute clusters of duplicates from the stored pairs. The best image of a cluster comes first.

A cluster is a connected component of the pairs of ready images that nobody marked as different.
Similarity is not transitive: of A~B and B~C, A and C may have little in common. So each member
states whether it is linked to the best image, and if not, to which member.

The best image of a cluster has the most pixels in the area that it shares with another member;
then the larger file wins, then the one added first. But two kinds of image rank lower. One is a
crop: a linked image shows the same and more at 0.6 of its resolution or better. (A collage or a
screenshot also shows more, but smaller.) The other has plain margins: a linked image shows the
same without them and no smaller.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from gallery.items.item import Status
from gallery.items.models import DuplicatePair, DuplicateScan, Image, NotDuplicate

LOADED_AT_ONCE = 25
"""Number of clusters loaded at once."""
CROPPED = 0.9
"""An image that shows less than this share of another one's content shows only a part of it."""
CROP_RESOLUTION, MARGIN_RESOLUTION = 0.6, 0.95
BORDERED = 0.97
"""If an image shares less than this share of its own area, it has something around it."""


@dataclass(frozen=True)
class Group:
    """The ids of a cluster, ascending. ``confidence``: that of its weakest necessary link."""

    ids: tuple[int, ...]
    confidence: float


@dataclass(frozen=True)
class Link:
    """How one image shows another: ``shared`` is the share of the other image that it shows,
    ``own`` the share of itself that shows it. Both are 0..1, or None as in ``DuplicatePair``."""

    other: int
    confidence: float
    shared: float | None
    own: float | None
    scale: float | None
    rotation: float | None
    mirrored: bool | None


@dataclass(frozen=True)
class Member:
    """An image of a cluster. ``content``: the share of its area within plain margins.

    ``link``: the link to the best image or, if ``chained``, the strongest link to another
    member.
    """

    image: Image
    content: float
    link: Link | None = None
    chained: bool = False


@dataclass(frozen=True)
class Cluster:
    """``members``: first the best, then those linked to it, most certain first, then chained."""

    id: int
    members: Sequence[Member]
    confidence: float

    @property
    def best(self) -> Member:
        return self.members[0]


def live_pairs() -> QuerySet[DuplicatePair]:
    """Return the pairs of ready images that nobody marked as different."""
    other = NotDuplicate.objects.filter(group=OuterRef("group"), image=OuterRef(OuterRef("b")))
    apart = NotDuplicate.objects.filter(
        Exists(other.filter(together=False)) | (Q(together=False) & Exists(other)),
        image=OuterRef("a"),
    )
    # Subqueries of one value, which the planner cannot turn into joins. Before the tables are
    # analysed, it would join by status: every ready image for each pair.
    states = {
        f"{end}_status": Subquery(Image.objects.filter(pk=OuterRef(end)).values("status"))
        for end in ("a", "b")
    }
    ready = dict.fromkeys(states, Status.READY)
    return DuplicatePair.objects.alias(**states).filter(~Exists(apart), **ready)


def find_groups(*, largest_first: bool = False) -> list[Group]:
    """Return all clusters, the most certain (or the largest) first, then by the oldest member."""
    parents: dict[int, int] = {}
    weakest: dict[int, float] = {}

    def root(image: int) -> int:
        while (parent := parents.setdefault(image, image)) != image:
            parents[image] = parents[parent]
            image = parents[image]
        return image

    # Strongest first, so that the last pair that joins two parts is the weakest necessary one.
    strongest_first = live_pairs().order_by("-confidence", "a", "b")
    for a, b, confidence in strongest_first.values_list("a", "b", "confidence"):
        one, other = sorted((root(a), root(b)))
        if one != other:
            parents[other] = one
            weakest[one] = confidence
    members: dict[int, list[int]] = defaultdict(list)
    for image in sorted(parents):
        members[root(image)].append(image)
    found = [Group(tuple(ids), weakest[top]) for top, ids in members.items()]
    if largest_first:
        return sorted(found, key=lambda group: (-len(group.ids), -group.confidence, group.ids))
    return sorted(found, key=lambda group: (-group.confidence, -len(group.ids), group.ids))


def members_with(image_id: int) -> set[int]:
    """Return the ids of the cluster that contains an image, including its own id."""
    known = frontier = {image_id}
    while frontier:
        linked = live_pairs().filter(Q(a__in=frontier) | Q(b__in=frontier))
        ends = {end for pair in linked.values_list("a", "b") for end in pair}
        frontier = ends - known
        known = known | frontier
    return known


def all_clusters() -> Iterator[Cluster]:
    """Yield all clusters, the most certain first. A few are loaded at a time."""
    found = find_groups()
    for start in range(0, len(found), LOADED_AT_ONCE):
        yield from load_clusters(found[start : start + LOADED_AT_ONCE])


def load_clusters(
    found: Sequence[Group],
    keep: Mapping[int, int] | None = None,
    images: QuerySet[Image] | None = None,
) -> list[Cluster]:
    """Load the images and links of clusters. ``keep``: cluster id → image to use as the best one.

    ``images``: the queryset to load from, for annotations; all images by default. A cluster's id
    is that of its oldest member. Members that have gone are left out, and so are clusters with
    only one member left.
    """
    ids = [image for group in found for image in group.ids]
    loaded = (Image.objects.all() if images is None else images).filter(status=Status.READY)
    by_id = loaded.in_bulk(ids)
    scans = DuplicateScan.objects.in_bulk(ids)
    links: dict[int, list[Link]] = defaultdict(list)
    for pair in live_pairs().filter(a__in=ids):
        for link_of, link in ((pair.a_id, _back(pair)), (pair.b_id, _forth(pair))):
            links[link_of].append(link)
    clusters = []
    for group in found:
        members = {
            pk: Member(by_id[pk], scans[pk].content if pk in scans else 1.0)
            for pk in group.ids
            if pk in by_id
        }
        if len(members) > 1:
            chosen = (keep or {}).get(group.ids[0])
            best = chosen if chosen in members else _best(members, links)
            ordered = _ordered(best, members, links)
            clusters.append(Cluster(group.ids[0], ordered, group.confidence))
    return clusters


def _forth(pair: DuplicatePair) -> Link:
    """Return how ``b`` shows ``a``."""
    return Link(
        pair.a_id,
        pair.confidence,
        pair.shared_a,
        pair.shared_b,
        pair.scale,
        pair.rotation,
        pair.mirrored,
    )


def _back(pair: DuplicatePair) -> Link:
    """Return how ``a`` shows ``b``: the inverse transformation."""
    scale = None if pair.scale is None else 1.0 / pair.scale
    rotation = pair.rotation
    if rotation is not None and not pair.mirrored:
        rotation = -rotation
    return Link(
        pair.b_id, pair.confidence, pair.shared_b, pair.shared_a, scale, rotation, pair.mirrored
    )


def _best(members: Mapping[int, Member], links: Mapping[int, Sequence[Link]]) -> int:
    """By the rule in the module's docstring."""

    def rank(member: Member) -> tuple[bool, float, int, object, int]:
        image = member.image
        known = [link for link in links[image.pk] if link.other in members]
        ranks_behind = any(_ranks_behind(member, members[link.other], link) for link in known)
        # Rounded, because geometry is exact to a few pixels only.
        common = max((round(link.own, 2) for link in known if link.own is not None), default=1.0)
        pixels = image.width * image.height * common
        return ranks_behind, -pixels, -image.bytes, image.created_at, image.pk

    return min(members.values(), key=rank).image.pk


def _ranks_behind(member: Member, other: Member, link: Link) -> bool:
    if link.shared is None or link.own is None or link.scale is None:
        return False
    resolution = 1.0 / link.scale
    # Within the margins: does it show the whole other image, or a part?
    shown, own = min(1.0, link.shared / other.content), min(1.0, link.own / member.content)
    if shown < CROPPED * own:
        return resolution >= CROP_RESOLUTION
    return link.own < BORDERED and own >= CROPPED and resolution >= MARGIN_RESOLUTION


def _ordered(
    best: int, members: Mapping[int, Member], links: Mapping[int, Sequence[Link]]
) -> list[Member]:
    direct = {link.other: link.confidence for link in links[best]}
    rest = []
    for pk, member in members.items():
        known = [link for link in links[pk] if link.other in members]
        if pk == best or not known:
            continue
        to_best = [link for link in known if link.other == best]
        link = (to_best or sorted(known, key=lambda link: (-link.confidence, link.other)))[0]
        rest.append(Member(member.image, member.content, link, chained=not to_best))
    rest.sort(key=lambda m: (m.chained, -direct.get(m.image.pk, 0.0), m.image.pk))
    return [members[best], *rest]

"""The columns of the table: each search method, from an encoded picture to ranked keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.recall import database, peers
from benchmarks.recall.peers import PEERS

LIMIT = 10
FAR = 1e9

Found = list[tuple[str, Any]]
"""Keys and distances, nearest first, at most ``LIMIT``. For ``EVIDENCE``: keys and all evidence
about each candidate, in no order."""
Method = Callable[[bytes], Found]

PRODUCT = ("imgsmlr", "pdq", "cnn alone", "copy", "clip", "auto")
METHODS = (*PRODUCT, *PEERS)
CALIBRATED = ("copy", "auto")
"""Distances are 1 − confidence."""
EVIDENCE = "evidence"
"""Not a column: the evidence of ``auto`` about its candidates before it is weighted."""

_SEARCHING = (
    *(
        "gallery/search/nearest.py",
        "gallery/search/vector_index.py",
        "gallery/search/image_search.py",
        "gallery/imaging/decoding/*.py",
    ),
    *("benchmarks/recall/drawing.py", "benchmarks/recall/screens.py"),
    *("benchmarks/recall/transforms.py", "benchmarks/recall/methods.py"),
)
_COPYING = (
    *("gallery/search/copy_candidates.py", "gallery/imaging/geometry.py"),
    *(
        "gallery/imaging/image_registration.py",
        "gallery/imaging/local_features.py",
        "gallery/imaging/transforms.py",
    ),
    *("gallery/imaging/trimming.py", "gallery/items/file_storage.py"),
    *(
        "gallery/search/copy_search.py",
        "gallery/imaging/descriptors/*.py",
        "gallery/imaging/descriptors/*.npz",
    ),
)
_CODE = {
    "imgsmlr": ("gallery/imaging/descriptors/haar.py",),
    "pdq": ("gallery/imaging/descriptors/pdq.py",),
    "cnn alone": ("gallery/imaging/descriptors/cnn*",),
    "clip": ("gallery/imaging/descriptors/clip*.py",),
    "copy": (*_COPYING, "gallery/search/confidence.*"),
    "auto": (*_COPYING, "gallery/search/confidence.*"),
    EVIDENCE: _COPYING,
}


def version(method: str, gallery: str) -> str:
    """Return a digest of the code that a method's answers depend on, and of the gallery."""
    code = _CODE.get(method, ("benchmarks/recall/peers.py",))
    return database.digest((*_SEARCHING, *code), gallery)


def missing() -> dict[str, str]:
    from gallery.imaging import descriptors

    why = descriptors.why_unavailable("clip")
    return {"clip": why} if why else {}


def get(name: str, hashes: Path) -> Method:
    """Return a search method. ``hashes``: the file of the peers."""
    if name in PEERS:
        return partial(peers.load(name, hashes).nearest, limit=LIMIT)
    if name in CALIBRATED:
        return partial(_search_copies, name)
    return {"cnn alone": _cnn_alone, EVIDENCE: _evidence}.get(name) or partial(_search, name)


def _search(match_type: str, data: bytes) -> Found:
    from gallery.search.image_search import ImageQuery, search_images

    found = search_images(ImageQuery(data=data), match_type=match_type, threshold=FAR, limit=LIMIT)
    return [(match.image.data_id or "", match.distance) for match in found.matches]


def _search_copies(match_type: str, data: bytes) -> Found:
    """Run the product's copy search with the description that its methods share."""
    from gallery.search import copy_search
    from gallery.search.copy_candidates import QueryView
    from gallery.search.nearest import INCLUSIVE

    query = _described(data)
    if match_type == "copy":
        learned = QueryView(cnn=query.view.cnn)
        query = replace(query, view=learned)
    found = copy_search.search_copies(
        query, match_type, threshold=1.0, limit=LIMIT, filters=None, rule=INCLUSIVE
    )
    return [(match.image.data_id or "", match.distance) for match in found]


def _cnn_alone(data: bytes) -> Found:
    """Search only the learned vector of the whole, unedited picture with the product's index."""
    from gallery.imaging.descriptors.base import COPY_VERSION
    from gallery.search.nearest import nearest_images

    whole = _described(data).view.cnn
    if not whole:
        return []
    columns = {"cnn": whole[0]}
    matches = nearest_images("copy", COPY_VERSION, columns, threshold=FAR, limit=LIMIT)
    return [(match.image.data_id or "", match.distance) for match in matches]


def _evidence(data: bytes) -> Found:
    from gallery.search import copy_search

    found = copy_search.gather_evidence(_described(data).complete(), "auto")
    return [(one.image.data_id or "", asdict(evidence)) for one, evidence in found]


_last: tuple[bytes, Any] = (b"", None)


def _described(data: bytes) -> Any:
    """Describe the query as ``auto`` does. Cached, because several methods use the same query."""
    from gallery.search import copy_search
    from gallery.search.image_search import load_picture

    global _last
    if _last[0] is not data:
        _last = data, copy_search.describe_query(load_picture(data=data), "auto")
    return _last[1]

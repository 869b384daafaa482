"""The main job over HTTP: thirty pictures go in, altered copies find them, deleted are gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from tests import factories as make
from tests.httpserver import HttpServer
from tests.journeys.conftest import Service

pytestmark = pytest.mark.slow


def resized(image: Pillow.Image) -> Pillow.Image:
    return image.resize((image.width * 6 // 10, image.height * 6 // 10), Pillow.Resampling.LANCZOS)


def cropped(image: Pillow.Image) -> Pillow.Image:
    """Without a rim of 2 % on each side."""
    x, y = image.width // 50, image.height // 50
    return image.crop((x, y, image.width - x, image.height - y))


COPIES: dict[str, Callable[[Pillow.Image], bytes]] = {
    "re-encoded": lambda image: make.jpeg(image, 60),
    "resized": lambda image: make.png(resized(image)),
    "cropped": lambda image: make.jpeg(cropped(image)),
    "mirrored": lambda image: make.jpeg(ImageOps.mirror(image)),
    "turned": lambda image: make.jpeg(image.rotate(90, expand=True)),
    "framed": lambda image: make.jpeg(ImageOps.expand(image, image.width // 5, "white")),
}
ASKED = [
    ("imgsmlr", 2.0, ("re-encoded", "resized", "cropped")),
    # A hash of the whole picture is for files saved again; fine textures change with the size.
    ("pdq", 31.0, ("re-encoded",)),
    ("auto", 1.0, tuple(COPIES)),
]


def thirty() -> dict[str, Pillow.Image]:
    photos = {name: make.wheel_photo(name) for name in make.WHEEL_PICTURES}
    return photos | {f"made-{seed}": make.photo(seed) for seed in range(30 - len(photos))}


def add_all(service: Service, web: HttpServer, names: list[str]) -> None:
    """Some one by one, some by the original's API, the rest as a batch for the worker."""
    url = {name: f"{web.url}/{name}" for name in names}
    for name in names[:5]:
        body = {"url": url[name], "data_id": name}
        assert service.post("/api/v1/images/", json=body).status_code == 202
    for name in names[5:10]:
        body = {"url": url[name], "dataId": name}
        assert service.post("/imgsmlr/mgr/add", json=body).json()["code"] == 200
    items = [{"url": url[name], "data_id": name} for name in names[10:]]
    batch = service.post("/api/v1/images/batch/", json={"images": items})
    assert batch.status_code == 202
    assert all("image" in result for result in batch.json()["results"])
    service.wait_described()


def nearest(service: Service, data: bytes, match_type: str, threshold: float) -> list[str]:
    """The data ids found, nearest first."""
    asked = {"match_type": match_type, "threshold": threshold, "limit": 5}
    response = service.post("/api/v1/images/search/", data=asked, files={"file": ("q", data)})
    assert response.status_code == 200, response.text
    return [match["image"]["data_id"] for match in response.json()["results"]]


def test_add_search_delete_search(service: Service, web: HttpServer) -> None:
    pictures = thirty()
    names = list(pictures)
    web.routes = {f"/{name}": make.png(image) for name, image in pictures.items()}
    before = service.counts()
    add_all(service, web, names)
    counts = service.counts()
    assert counts["ready"] == before["ready"] + 30
    assert counts["failed"] == before["failed"]

    # Each copy of every third picture: how many are found of many is measured elsewhere.
    missed = [
        (name, kind, match_type)
        for match_type, threshold, kinds in ASKED
        for number, kind in enumerate(kinds)
        for name in names[number % 3 :: 3]
        if nearest(service, COPIES[kind](pictures[name]), match_type, threshold)[:1] != [name]
    ]
    assert missed == []

    doomed, kept = names[::2], names[1::2]
    files = len(service.files())
    for name in doomed:
        deleted = service.request("DELETE", "/api/v1/images/", params={"data_id": name})
        assert deleted.json() == {"deleted": 1}
    assert len(service.files()) == files - len(doomed)  # a thumbnail each
    for name in names:
        data = COPIES["re-encoded"](pictures[name])
        found = nearest(service, data, "imgsmlr", 2)
        assert (name in found) == (name in kept)

    # What was deleted can come back, as another image.
    again = {"url": f"{web.url}/{doomed[0]}", "data_id": doomed[0]}
    assert service.post("/api/v1/images/?wait=10", json=again).status_code == 201
    assert doomed[0] in nearest(service, web.routes[f"/{doomed[0]}"], "imgsmlr", 0.1)  # type: ignore[arg-type]
    for name in [*kept, doomed[0]]:
        service.request("DELETE", "/api/v1/images/", params={"data_id": name})
    assert service.counts() == before

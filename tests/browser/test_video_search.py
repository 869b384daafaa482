"""Searching the videos in a real browser: clips, stills and animations, and what can be played."""

from __future__ import annotations

import csv
import io
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.storage import default_storage
from playwright.sync_api import Locator, Page, expect

from gallery.imaging import descriptors
from gallery.items import changing
from gallery.items.adding import add_image
from tests import factories
from tests.browser.accessibility import faults
from tests.browser.conftest import PHONE, OpenPage
from tests.httpserver import HttpServer
from tests.videos import clips, library
from tests.videos.library import clip_of, frame_at
from videos.index import indexing
from videos.models import Video

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("clips_are_read_once"),
]

ONE_VIDEO = "1 video shows it"
MOMENT = ".moment button:not([aria-pressed])"
TIME = r"\d+:\d\d\.\d"


@pytest.fixture(scope="module")
def indexed(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Where the files of the library are; a browser's tests empty the tables each time."""
    media = tmp_path_factory.mktemp("media")
    with django_db_blocker.unblock():
        library.built().link_files(media)
    return media


@pytest.fixture
def videos(indexed: Path, settings: Any, open_api: None) -> dict[str, Video]:
    settings.MEDIA_ROOT = indexed
    settings.THROTTLE_POINTS = 0
    videos = library.built().store_rows()
    Video.objects.filter(pk=videos["travel"].pk).update(data_id="trip-1", remark="Cat <b>& cup")
    return videos


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of "travel", as in a mirror."""
    frames = [library.mirrored(frame) for frame in clip_of("travel", 5, 11)]
    path = tmp_path_factory.mktemp("clip") / "seen somewhere.mp4"
    return written(path, clips.encode(clips.timed(frames)))


@pytest.fixture
def screenshot(tmp_path: Path) -> Path:
    """Of "museum", at 2.2 seconds."""
    return written(tmp_path / "screenshot.png", library.file_of(frame_at("museum", 2.2)))


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def title(page: Page) -> Locator:
    return page.locator("#results-title")


def card(page: Page, video: Video) -> Locator:
    return page.locator(f'.video[data-id="{video.pk}"]')


def choose(page: Page, path: Path) -> None:
    page.set_input_files("#file", path)


def seconds(text: str) -> float:
    minutes, rest = text.split(":")
    return 60 * int(minutes) + float(rest)


def moments(of: Locator) -> list[tuple[float, ...]]:
    """Start and end of each moment of a card."""
    texts = of.locator(MOMENT).all_inner_texts()
    return [tuple(seconds(time) for time in re.findall(TIME, text)) for text in texts]


def in_videos(page: Page) -> Locator:
    return page.get_by_role("radio", name="Videos")


def switch_to(page: Page, name: str) -> None:
    page.locator("#where label", has_text=name).click()


def now(page: Page) -> float:
    """Where the video that plays is, once it plays."""
    page.wait_for_function(
        "() => { const v = document.querySelector('.player video');"
        "return v && v.readyState >= 3 && !v.seeking && !v.paused }"
    )
    time: float = page.locator(".player video").evaluate("video => video.currentTime")
    return time


# --- finding ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_clip_finds_its_video_and_the_range(
    open_page: OpenPage, videos: dict[str, Video], clip: Path
) -> None:
    page = open_page()
    expect(page.locator("#where-videos")).to_have_text("4")
    choose(page, clip)
    expect(title(page)).to_have_text("2 videos show it")  # the other one shares the footage
    expect(title(page)).to_be_focused()
    expect(page).to_have_url(re.compile(r"\?in=videos&match_type=auto$"))
    expect(in_videos(page)).to_be_checked()
    expect(page.get_by_role("radio", name="Pictures")).to_be_disabled()
    expect(page.locator("#where-note")).to_have_text("A clip is searched for in videos.")
    found = card(page, videos["travel"])
    ((start, end),) = moments(found)
    assert (start, end) == pytest.approx((5, 11), abs=0.4)
    expect(found.locator(".confidence")).to_have_text(re.compile(r"^\d\d.* %$"))
    expect(found.locator(".remark")).to_have_text("Cat <b>& cup")
    expect(found).to_contain_text("trip-1")
    expect(found).to_contain_text("MP4 · 320 × 180 · 0:16")
    expect(found.locator(".moment")).to_contain_text(re.compile(rf"shows 0:00\.\d – {TIME} of"))
    expect(found.locator(".edit")).to_have_text("mirrored")
    bar = found.get_by_role("img", name=re.compile(rf"^Found at {TIME} to {TIME} of 0:16\.0$"))
    outer, inner = bar.bounding_box(), bar.locator(".range").bounding_box()
    assert outer and inner
    assert (inner["x"] - outer["x"]) / outer["width"] == pytest.approx(start / 16, abs=0.02)
    assert inner["width"] / outer["width"] == pytest.approx((end - start) / 16, abs=0.02)
    frame = found.locator(".player img")
    expect(frame).to_have_attribute("alt", re.compile(rf"^Cat <b>& cup, at {TIME}$"))
    assert frame.evaluate("image => image.decode().then(() => image.naturalWidth)")
    expect(page.locator("#preview-facts")).to_contain_text("320 × 180 · 0:06")
    page.get_by_label("Sort by").select_option("Age, newest first")
    first = max(video.pk for video in (videos["travel"], videos["remix"]))
    expect(page.locator(".video").first).to_have_attribute("data-id", str(first))
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text())))
    assert rows[0]["id"] == str(first) and len(rows) == 2
    (row,) = [row for row in rows if row["id"] == str(videos["travel"].pk)]
    assert (float(row["start"]), float(row["end"])) == pytest.approx((start, end), abs=0.1)
    assert (row["mirrored"], row["remark"]) == ("true", "Cat <b>& cup")


@pytest.mark.slow
def test_a_clip_is_shared_by_a_link(
    open_page: OpenPage, videos: dict[str, Video], clip: Path
) -> None:
    page = open_page()
    choose(page, clip)
    expect(title(page)).to_have_text("2 videos show it")
    found = moments(card(page, videos["travel"]))
    page.get_by_role("button", name="Share…").click()
    asked = page.locator("#notices .notice")
    expect(asked).to_contain_text("keeps the pictures of your clip that a search looks at")
    asked.get_by_role("button", name="Make the link").click()
    expect(asked).to_contain_text("It works until")
    link = re.search(r"http\S+", asked.locator("p").inner_text())
    assert link is not None
    page.goto(link[0])
    expect(title(page)).to_have_text("2 videos show it")
    expect(in_videos(page)).to_be_checked()
    expect(page.locator("#preview-name")).to_have_text(re.compile("^Shared until "))
    shown = page.locator("#preview-picture video")
    page.wait_for_function("video => video.duration > 5.5", arg=shown.element_handle())
    assert moments(card(page, videos["travel"])) == [
        pytest.approx(moment, abs=0.15) for moment in found
    ]


@pytest.mark.slow
def test_the_matched_frames_can_be_looked_at(
    open_page: OpenPage, videos: dict[str, Video], clip: Path
) -> None:
    page = open_page()
    choose(page, clip)
    found = card(page, videos["travel"])
    found.get_by_text("Matched frames").click()
    expect(found.locator(".pairs li")).to_have_count(5)
    for pair in found.locator(".pairs li").all():
        query, time = (seconds(text) for text in re.findall(TIME, pair.inner_text()))
        assert time - query == pytest.approx(5, abs=0.3)
        assert pair.locator("img").evaluate("image => image.decode().then(() => true)")


@pytest.mark.slow
def test_a_screenshot_finds_the_moment(
    open_page: OpenPage, videos: dict[str, Video], screenshot: Path
) -> None:
    page = open_page()
    choose(page, screenshot)
    expect(title(page)).to_have_text(re.compile("^No copy"))
    expect(page).not_to_have_url(re.compile("in=videos"))
    switch_to(page, "Videos")
    expect(title(page)).to_have_text(ONE_VIDEO)
    expect(page).to_have_url(re.compile(r"\?in=videos"))
    found = card(page, videos["museum"])
    ((start, *rest),) = moments(found)
    assert start - 0.6 <= 2.2 <= max([start, *rest]) + 0.6
    expect(found.locator(".moment")).to_contain_text("most like it at 0:02.")
    expect(found.locator(".places")).to_have_count(0)
    page.reload()
    expect(title(page)).to_have_text("Choose the clip or picture again")
    expect(in_videos(page)).to_be_checked()


@pytest.mark.slow
def test_an_animation_is_searched_in_videos_and_may_be_in_pictures(
    open_page: OpenPage, videos: dict[str, Video], tmp_path: Path
) -> None:
    frames = [library.halved(frame) for frame in clip_of("museum", 5, 8)[::3]]
    page = open_page()
    expect(title(page)).to_have_text("No pictures yet")
    choose(page, written(tmp_path / "funny.gif", clips.animation(frames, "GIF", 120)))
    expect(title(page)).to_have_text(ONE_VIDEO)
    ((start, end),) = moments(card(page, videos["museum"]))
    assert (start, end) == pytest.approx((5, 8), abs=0.6)
    expect(page.get_by_role("radio", name="Pictures")).to_be_enabled()
    switch_to(page, "Pictures")
    expect(title(page)).to_have_text(re.compile("^No copy"))


@pytest.mark.slow
def test_places_that_show_it_as_well(
    open_page: OpenPage, videos: dict[str, Video], tmp_path: Path
) -> None:
    page = open_page("?in=videos")
    choose(page, written(tmp_path / "twice.png", library.file_of(frame_at("again", 2))))
    expect(title(page)).to_have_text(ONE_VIDEO)
    found = card(page, videos["again"])
    places = found.locator(".places")
    expect(places).to_contain_text("Other places show it as well:")
    expect(found.get_by_role("img", name=re.compile(r"; also 0:"))).to_be_visible()
    ((start, *_),) = moments(found)
    (other, *_) = (seconds(time) for time in re.findall(TIME, places.inner_text()))
    assert abs(start - other) == pytest.approx(8, abs=1)  # the photograph comes twice
    places.get_by_role("button").first.click()
    assert now(page) == pytest.approx(other, abs=2)


def test_a_flat_picture_and_a_black_clip(
    open_page: OpenPage, videos: dict[str, Video], tmp_path: Path
) -> None:
    page = open_page("?in=videos")
    black = clips.encode(clips.timed(clips.plain(0, 2)))
    flat = factories.png(factories.flat())
    for path in (written(tmp_path / "a.mp4", black), written(tmp_path / "b.png", flat)):
        choose(page, path)
        expect(page.locator("#preview-name")).to_have_text(path.name)
        expect(title(page)).to_have_text("Nothing to look for")
        expect(page.get_by_role("heading", name="This has almost no detail")).to_be_visible()
        expect(page.get_by_text("Try a moment that shows more.")).to_be_visible()


def test_nothing_found_and_what_is_unsure(
    open_page: OpenPage, videos: dict[str, Video], tmp_path: Path
) -> None:
    page = open_page("?in=videos")
    choose(page, written(tmp_path / "a.png", library.file_of(clips.photograph("gravel"))))
    expect(title(page)).to_have_text("No video shows it")
    expect(page.locator("#results-note")).to_have_text("of 4 videos")
    expect(page.get_by_role("button", name="Add this one…")).to_be_visible()
    page.get_by_role("button", name="Show uncertain matches").click()
    expect(page).to_have_url(re.compile("unsure=1"))
    expect(title(page)).to_have_text(re.compile("^(No video shows it|.*, uncertain ones too)$"))
    page.get_by_role("button", name="Clear").click()
    expect(title(page)).to_have_text("Newest videos")


@pytest.mark.slow
def test_a_link_is_searched_by_the_server(
    open_page: OpenPage, videos: dict[str, Video], clip: Path
) -> None:
    with HttpServer({"/clip.mp4": clip.read_bytes(), "/watch": clip.read_bytes()}) as site:
        page = open_page()
        field = page.get_by_label("Link to a picture or a video")
        field.fill(f"{site.url}/clip.mp4")
        field.press("Enter")
        expect(title(page)).to_have_text("2 videos show it")
        expect(in_videos(page)).to_be_checked()
        page.reload()  # the link is in the address
        expect(title(page)).to_have_text("2 videos show it")
        expect(page.get_by_role("button", name="Copy link")).to_be_visible()
        switch_to(page, "Videos")
        page.goto(f"/imgsmlr/?url={site.url}/watch")
        expect(title(page)).to_have_text("That is not a picture")
        page.get_by_role("button", name="Search the videos with it").click()
        expect(title(page)).to_have_text("2 videos show it")


@pytest.mark.slow
def test_a_stored_picture_is_looked_for_in_videos(
    open_page: OpenPage, videos: dict[str, Video], screenshot: Path
) -> None:
    image = add_image(
        data=screenshot.read_bytes(), by="tests", inline=descriptors.available_names()
    )
    page = open_page()
    page.get_by_role("button", name=f"Search with this one, picture {image.pk}").click()
    expect(title(page)).to_have_text(re.compile("^1 copy"))
    switch_to(page, "Videos")
    expect(title(page)).to_have_text(ONE_VIDEO)
    expect(card(page, videos["museum"])).to_be_visible()
    page.go_back()
    expect(title(page)).to_have_text(re.compile("^1 copy"))


def test_words_are_for_pictures_alone(open_page: OpenPage, videos: dict[str, Video]) -> None:
    page = open_page("?text=a+cat&in=videos")
    expect(page.get_by_role("radio", name="Pictures")).to_be_checked()
    expect(in_videos(page)).to_be_disabled()
    expect(page.locator("#where-note")).to_have_text("Words are searched for in pictures.")


@pytest.mark.slow
def test_animations_are_told_from_pictures(open_page: OpenPage, open_api: None) -> None:
    page = open_page()
    frames = [np.ascontiguousarray(frame) for frame in clip_of("travel", 1, 2)[::8][:3]]

    def moves(format: str, data: bytes) -> bool:
        assert len(data) > 100
        answer: bool = page.evaluate(
            """async ([type, base64]) => {
                const { isAnimation } = await import("/static/gallery/search/media.js");
                const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
                return isAnimation(new File([bytes], "a", { type }));
            }""",
            [f"image/{format.lower()}", b64encode(data).decode()],
        )
        return answer

    for format in ("GIF", "WEBP", "PNG"):
        assert moves(format, clips.animation(frames, format)) is True, format
        assert moves(format, library.file_of(frames[0], format)) is False, format


@pytest.mark.slow
def test_a_clip_of_two_moments_at_another_speed(
    open_page: OpenPage, videos: dict[str, Video], tmp_path: Path
) -> None:
    frames = [*clip_of("museum", 0, 5), *clip_of("museum", 8, 12)]
    data = clips.encode([(number / 37.5, frame) for number, frame in enumerate(frames)])
    page = open_page()
    choose(page, written(tmp_path / "montage.mp4", data))
    expect(title(page)).to_have_text(ONE_VIDEO)
    found = card(page, videos["museum"])
    first, second = moments(found)
    assert first == pytest.approx((0, 5), abs=0.6)
    assert second == pytest.approx((8, 12), abs=0.6)
    expect(found.locator(".edit")).to_have_text([re.compile(r"^1\.[45]\d*× speed$")] * 2)
    expect(found.locator(".range")).to_have_count(2)
    found.locator(MOMENT).nth(1).click()
    assert now(page) == pytest.approx(second[0], abs=3)


def test_a_place_in_another_video_leads_to_its_card(
    open_page: OpenPage, videos: dict[str, Video], tmp_path: Path
) -> None:
    page = open_page("?in=videos")
    choose(page, written(tmp_path / "shared.png", library.file_of(frame_at("travel", 6))))
    expect(title(page)).to_have_text("2 videos show it")
    first, second = page.locator(".video").all()
    place = first.locator(".places").get_by_role(
        "button", name=f"#{second.get_attribute('data-id')}, 0:0"
    )
    place.click()
    expect(second.locator(".play")).to_be_focused()
    expect(second.locator(".places")).to_have_count(0)


# --- playing ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_plays_where_it_is_most_alike_and_loops(
    open_page: OpenPage, videos: dict[str, Video], clip: Path
) -> None:
    Video.objects.filter(pk=videos["again"].pk).update(status="pending")
    page = open_page()
    choose(page, clip)
    found = card(page, videos["travel"])
    expect(found).to_be_visible()
    expect(page.locator("#results-note")).to_have_text(
        "of 3 videos · 1 video is still being indexed"
    )
    assert page.locator(".player video").count() == 0
    ((start, end),) = moments(found)

    # A pointer over the picture moves it, in the range that was found; once it leaves, no more.
    found.locator(".player").hover()
    moving = found.locator("video.moving.is-playing")
    expect(moving).to_be_visible()
    assert start - 0.2 <= moving.evaluate("video => video.currentTime") <= end
    assert "small=1" in (moving.get_attribute("src") or "")
    title(page).hover()
    expect(moving).to_have_count(0)

    found.get_by_text("Matched frames").click()
    pairs = found.locator(".pairs li").all_inner_texts()
    alike = {float(re.findall(r"([\d.]+) %", text)[0]) for text in pairs}
    times = {seconds(re.findall(TIME, text)[-1]) for text in pairs if f"{max(alike):g} %" in text}
    play = found.get_by_role("button", name=f"Play video {videos['travel'].pk} from ")
    at = seconds(re.findall(TIME, play.get_attribute("aria-label") or "")[0])
    assert at in times
    play.click()
    assert at - 0.2 <= now(page) < at + 5
    player = found.locator("video")
    expect(player).to_be_focused()
    assert player.evaluate("video => [video.muted, video.controls]") == [True, True]
    expect(found.locator(".playhead")).to_have_attribute("visibility", "visible")
    expect(found.locator(".play-note")).to_be_empty()

    loop = found.get_by_role("button", name=re.compile("^Loop "))
    loop.click()
    expect(loop).to_have_attribute("aria-pressed", "true")
    player.evaluate("(video, end) => (video.currentTime = end - 0.2)", end)
    page.wait_for_function(
        "start => { const { currentTime: at } = document.querySelector('.player video');"
        "return at >= start - 0.2 && at < start + 2 }",
        arg=start,
    )
    found.locator(MOMENT).click()
    expect(loop).to_have_attribute("aria-pressed", "false")
    assert start - 0.2 <= now(page) < start + 5


@pytest.mark.slow
def test_a_file_that_was_not_kept(
    open_page: OpenPage, videos: dict[str, Video], clip: Path
) -> None:
    Video.objects.filter(pk=videos["travel"].pk).update(original="")
    Video.objects.filter(pk=videos["remix"].pk).update(original="", proxy="")
    page = open_page()
    choose(page, clip)
    small, gone = card(page, videos["travel"]), card(page, videos["remix"])
    expect(small).to_contain_text("The file was not kept: a small copy plays.")
    small.locator(".play").click()
    ((start, end),) = moments(small)
    assert start - 0.2 <= now(page) < end + 5
    expect(gone).to_contain_text("The file was not kept: it cannot be played here.")
    expect(gone.get_by_role("button", name="Play")).to_have_count(0)
    expect(gone.locator(".moment")).to_contain_text(re.compile(rf"^{TIME} – {TIME}"))
    frame = gone.locator(".player img")  # the thumbnail stands in for the moment
    expect(frame).to_have_attribute("src", re.compile("/thumbnail/$"))


@pytest.mark.slow
def test_a_video_that_was_taken_away_meanwhile(
    open_page: OpenPage, videos: dict[str, Video], clip: Path
) -> None:
    page = open_page()
    choose(page, clip)
    found = card(page, videos["travel"])
    expect(found).to_be_visible()
    changing.quarantine_items(items=Video.objects.filter(pk=videos["travel"].pk), by="tests")
    found.locator(".play").click()
    expect(found).to_contain_text("It cannot be played. It may have been taken away since.")


@pytest.mark.slow
def test_what_the_browser_cannot_play_plays_as_a_small_copy(
    open_page: OpenPage, open_api: None, tmp_path: Path
) -> None:
    frames = list(clips.moving("astronaut", 4))
    video = library.add_ready(clips.encode(clips.timed(frames), "avi"))
    page = open_page("?in=videos")
    choose(page, written(tmp_path / "a.png", library.file_of(frames[60])))
    expect(title(page)).to_have_text(ONE_VIDEO)
    found = card(page, video)
    found.locator(".play").click()
    expect(found).to_contain_text("This browser cannot play the file: a small copy plays.")
    ((start, *_),) = moments(found)
    assert start - 0.2 <= now(page) <= 4
    assert default_storage.exists(video.original.name)


# --- adding -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_video_is_added_and_its_indexing_followed(
    open_page: OpenPage, open_api: None, tmp_path: Path
) -> None:
    frames = list(clips.moving("coffee", 3, start=(0, 0, 0.5), end=(1, 1, 0.6)))
    path = written(tmp_path / "mine.mp4", clips.encode(clips.timed(frames)))
    page = open_page("?in=videos")
    expect(title(page)).to_have_text("No videos yet")
    choose(page, path)  # nothing to search yet, so that it is offered for adding
    page.get_by_label("Data id optional").fill("mine-1")
    page.get_by_role("button", name="Add 1 video").click()
    row = page.locator(".queue-item")
    expect(row).to_contain_text("added, waits to be indexed")
    video = Video.objects.get(data_id="mine-1")
    Video.objects.filter(pk=video.pk).update(progress=42)
    expect(row).to_contain_text("indexing… 42 %")
    indexing.index_videos([video.pk])
    expect(row.locator(".queue-state")).to_have_text("added")
    page.get_by_role("button", name="Done").click()
    expect(title(page)).to_have_text("Newest videos")
    expect(card(page, video)).to_contain_text("0:03")


@pytest.mark.slow
def test_a_video_that_is_indexed_after_the_dialog_was_closed(
    open_page: OpenPage, open_api: None, tmp_path: Path
) -> None:
    frames = list(clips.moving("coffee", 3, start=(0, 0, 0.5), end=(1, 1, 0.6)))
    page = open_page("?in=videos")
    choose(page, written(tmp_path / "mine.mp4", clips.encode(clips.timed(frames))))
    page.get_by_role("button", name="Add 1 video").click()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_text("1 video is still being indexed.")).to_be_visible()
    video = Video.objects.get()
    indexing.index_videos([video.pk])
    expect(title(page)).to_have_text("Newest videos")
    expect(card(page, video)).to_be_visible()


def test_pictures_and_videos_are_added_together(
    open_page: OpenPage, videos: dict[str, Video], tmp_path: Path
) -> None:
    page = open_page()
    page.get_by_role("button", name="Add pictures or videos").click()
    broken = written(tmp_path / "broken.mp4", b"\0\0\0\x18ftypisom" + bytes(3000))
    again = written(
        tmp_path / "again.mp4", default_storage.open(videos["again"].original.name).read()
    )
    picture = written(tmp_path / "a.png", factories.png(factories.photo(1)))
    page.set_input_files("#add-files", [broken, again, picture])
    page.get_by_role("button", name="Add 3 files").click()
    expect(page.locator("#add-progress")).to_have_text("1 added, 1 already here, 1 failed")
    failed = page.locator('.queue-item[data-state="failed"]')
    expect(failed).to_contain_text("broken.mp4")
    expect(failed.locator(".queue-state")).to_have_text(re.compile(r"\w+ .*\.$"))


# --- refusals and waiting ---------------------------------------------------------------------


def test_refusals(
    open_page: OpenPage, videos: dict[str, Video], clip: Path, settings: Any, tmp_path: Path
) -> None:
    page = open_page("?in=videos")
    choose(page, written(tmp_path / "broken.mp4", clip.read_bytes()[:2000]))
    expect(title(page)).to_have_text("That is not a video")
    expect(page.get_by_role("alert").locator("p")).to_have_text(re.compile(r"\w.*\.$"))
    settings.MAX_UPLOAD_BYTES = 20_000
    choose(page, clip)
    expect(title(page)).to_have_text("The file is too large")


@pytest.mark.slow
def test_it_says_how_much_is_sent(
    open_page: OpenPage, videos: dict[str, Video], tmp_path: Path
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1000, 1000, 3), np.uint8)
    page = open_page("?in=videos")
    expect(title(page)).to_have_text("Newest videos")
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1e6}
    network.send("Network.emulateNetworkConditions", slow)
    choose(page, written(tmp_path / "noise.png", library.file_of(noise)))
    expect(title(page)).to_have_text(re.compile(r"^Sending… \d+ %$"))
    page.wait_for_function("() => document.querySelector('progress')?.value > 0.2")
    expect(page.get_by_role("progressbar", name="Sent")).to_be_visible()
    expect(title(page)).to_have_text(re.compile("^(Nothing to look for|No video shows it)$"))
    expect(page.locator("progress")).to_have_count(0)


# --- everyone can use it ----------------------------------------------------------------------


@pytest.mark.slow
def test_by_keyboard_alone(open_page: OpenPage, videos: dict[str, Video], screenshot: Path) -> None:
    page = open_page()
    choose(page, screenshot)
    expect(title(page)).to_have_text(re.compile("^No copy"))
    page.get_by_role("radio", name="Pictures").focus()
    page.keyboard.press("ArrowRight")
    expect(title(page)).to_have_text(ONE_VIDEO)
    expect(in_videos(page)).to_be_focused()
    play = f"Play video {videos['museum'].pk} from"
    for _ in range(40):
        page.keyboard.press("Tab")
        if (page.evaluate("document.activeElement.ariaLabel") or "").startswith(play):
            break
    page.keyboard.press("Enter")
    assert now(page) == pytest.approx(2.2, abs=3)


@pytest.mark.slow
def test_no_serious_accessibility_problem(
    open_page: OpenPage, videos: dict[str, Video], clip: Path
) -> None:
    Video.objects.filter(pk=videos["travel"].pk).update(data_id="d" * 200, remark="long " * 300)
    page = open_page("?in=videos", PHONE, "dark")
    expect(title(page)).to_have_text("Newest videos")
    assert faults(page, "newest videos") == set()
    page.get_by_role("button", name=f"Show large, video {videos['again'].pk}").click()
    large = page.get_by_role("dialog").locator("video")
    large.evaluate("video => video.readyState || new Promise((done) => video.onloadeddata = done)")
    page.get_by_role("dialog").get_by_role("button", name="Next").click()
    expect(page.locator("#lightbox-place")).to_have_text(re.compile("of 4$"))
    expect(page.get_by_role("button", name="Search with this one")).to_be_hidden()
    assert faults(page, "a video, large") == set()
    page.keyboard.press("Escape")
    choose(page, clip)
    expect(title(page)).to_have_text("2 videos show it")
    for summary in page.locator(".methods summary").all():
        summary.click()
    assert faults(page, "videos that show it") == set()
    page.locator(".play").first.click()
    now(page)
    assert faults(page, "a video plays") == set()
    Video.objects.all().delete()
    page.goto("/imgsmlr/?in=videos")
    expect(title(page)).to_have_text("No videos yet")
    assert faults(page, "no videos") == set()

"""Decoders: what they answer, their limits, and what happens when they crash or are killed."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gallery.imaging import decoding
from gallery.imaging.decoding import decoders, memory, reading
from gallery.imaging.decoding.budget import UNIT, Budget, Busy, Caller, Share, decoding_for
from gallery.imaging.decoding.decoder_protocol import Job
from gallery.imaging.decoding.limits import NotAnImage, PictureLimits, TooLarge, TooSlow
from gallery.imaging.decoding.rendered_pictures import RenderedPicture, rendered_pictures
from gallery.shared.errors import UserError
from gallery.shared.fork_server import CannotStart
from tests import processes
from tests.broken_decoders import broken_decoders
from tests.factories import png_of_zeros
from tests.gallery.imaging.test_decoding import MUTATED, TRANSPARENT, encode, photo

LIMITS = PictureLimits()
ROOT = Path(__file__).resolve().parents[3]
CORPUS: dict[str, bytes] = {
    **MUTATED,
    **{f"transparent {name}": make() for name, make in TRANSPARENT.items()},
    "with a preview": encode(photo(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
}


@cache
def deep_png(side: int) -> bytes:
    return png_of_zeros(side, side, deep=True)


def running_decoders() -> set[int]:
    return processes.forked("decoder_process")


def end_decoders() -> None:
    """So that the next one is new."""
    while decoders._pool._idle:
        decoders._pool._idle.pop().end()


# --- what they answer


@pytest.mark.parametrize("name", CORPUS)
def test_a_decoder_answers_what_reading_here_does(name: str) -> None:
    data = CORPUS[name]
    here = list(reading.file_frames(reading.open_data(data, LIMITS), LIMITS))
    first = decoding.decode(data, LIMITS)
    assert first.info == decoding.inspect(data, LIMITS) == here[0].frame.info
    assert np.array_equal(first.rgb, here[0].frame.rgb)
    assert np.array_equal(first.legacy_rgb, here[0].frame.legacy_rgb)
    assert first.doubt == here[0].frame.doubt
    assert not first.rgb.flags.writeable
    expected = [
        (one.place, one.number, one.duration_ms, rendering.name, rendering.rgb.tobytes())
        for one in here
        for rendering in one.frame.renderings()
    ]
    there = [
        (one.place, one.number, one.duration_ms, rendering.name, rendering.rgb.tobytes())
        for one in decoders.pictures(Job("all", LIMITS), data)
        for rendering in one.renderings
    ]
    assert there == expected
    one_by_one = seen(rendered_pictures(data, LIMITS))
    assert seen(rendered_pictures(data, LIMITS, first=first)) == one_by_one


def seen(pictures: object) -> list[tuple[object, ...]]:
    return [
        (one.view, one.duration_ms, one.doubt, one.rgb.tobytes(), one.legacy_rgb.tobytes())
        for one in pictures  # type: ignore[attr-defined]
        if isinstance(one, RenderedPicture)
    ]


def test_decoders_are_used_again_and_damaged_files_cost_one_each() -> None:
    end_decoders()
    decoding.decode(MUTATED["png"], LIMITS)
    before = running_decoders()
    for data in list(MUTATED.values()):
        decoding.decode(data, LIMITS)
        seen(rendered_pictures(data, LIMITS))
    assert running_decoders() == before
    with pytest.raises(TooLarge):
        decoding.decode(MUTATED["png"], PictureLimits(max_pixels=9))
    assert running_decoders() == before
    with pytest.raises(NotAnImage):
        decoding.decode(MUTATED["png"][:-40], LIMITS)
    processes.wait_until(lambda: not running_decoders() & before)
    assert decoding.decode(MUTATED["png"], LIMITS).info.format == "png"


def test_threads_decode_at_the_same_time() -> None:
    names = [name for name in CORPUS for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: decoding.decode(CORPUS[name], LIMITS), names))
    for name, picture in zip(names, found, strict=True):
        assert np.array_equal(picture.rgb, reading.decode(CORPUS[name], LIMITS).rgb)
    assert len(running_decoders()) <= (os.cpu_count() or 1)


# --- limits


BLACK_AVIF = ROOT / "tests/data/black_64_megapixels.avif"
"""Made by Pillow: ``Image.new("RGB", (8000, 8000)).save(…, speed=10)``."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [lambda: deep_png(8000), BLACK_AVIF.read_bytes], ids=["png", "avif"]
)
def test_a_small_file_of_64_megapixels_is_decoded_in_bounded_memory(
    make: Callable[[], bytes],
) -> None:
    data = make()
    assert len(data) < 600_000
    end_decoders()
    decoding.inspect(data, LIMITS)
    (decoder,) = running_decoders()
    before = processes.memory(decoder, "VmHWM")
    here = processes.memory(os.getpid(), "VmRSS")
    picture = decoding.decode(data, LIMITS)
    assert picture.rgb.shape == (8000, 8000, 3)
    file = reading.open_data(data, LIMITS)
    used = processes.memory(decoder, "VmHWM") - before
    arrays = {id(one): one.nbytes for one in (picture.rgb, picture.legacy_rgb)}
    held = processes.memory(os.getpid(), "VmRSS") - here
    assert used + sum(arrays.values()) <= memory.needed(file, "first")
    assert held <= sum(arrays.values()) + 64 * 2**20
    # Once it is idle, it gives back what it used.
    processes.wait_until(lambda: processes.memory(decoder, "VmRSS") < before + 64 * 2**20)


def test_a_service_may_read_the_pixels_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a busy machine, when the decoder gives back its memory already."""
    read = decoders._arrays

    def read_late(*args: Any) -> Any:
        time.sleep(1.5)  # longer than TIDY_SECONDS of decoder_process
        return read(*args)

    monkeypatch.setattr(decoders, "_arrays", read_late)
    picture = decoding.decode(MUTATED["png"], LIMITS)
    assert np.array_equal(picture.rgb, reading.decode(MUTATED["png"], LIMITS).rgb)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("RGB", "JPEG"),
        ("CMYK", "JPEG"),
        ("RGBA", "PNG"),
        ("RGB", "PNG"),
        ("P", "GIF"),
        ("RGB", "WEBP"),
        ("RGBA", "WEBP"),
        ("RGB", "AVIF"),
        ("RGBA", "AVIF"),
        ("RGB", "HEIF"),
        ("RGB", "JPEG2000"),
        ("F", "TIFF"),
        ("LAB", "TIFF"),
    ],
)
def test_decoding_takes_no_more_memory_than_is_counted(mode: str, format: str) -> None:
    options = {"compression": "tiff_adobe_deflate"} if format == "TIFF" else {}
    data = encode(Image.new(mode, (1600, 1250)), format, **options)
    small = encode(Image.new(mode, (16, 16)), format, **options)
    for wanted in ("first", "all"):
        end_decoders()
        # A reader's library is loaded at its first file, which is no memory of a picture.
        list(decoders.pictures(Job(wanted, LIMITS), small))  # type: ignore[arg-type]
        (decoder,) = running_decoders()
        before = processes.memory(decoder, "VmHWM")
        found = list(decoders.pictures(Job(wanted, LIMITS), data))  # type: ignore[arg-type]
        arrays = [rendering.rgb for picture in found for rendering in picture.renderings]
        arrays += [picture.legacy_rgb for picture in found]
        handed_over = sum({id(one): one.nbytes for one in arrays}.values())
        used = processes.memory(decoder, "VmHWM") - before + 2 * handed_over
        counted = memory.needed(reading.open_data(data, LIMITS), wanted)  # type: ignore[arg-type]
        assert used <= counted, f"{used / 2e6:.1f} > {counted / 2e6:.1f} bytes a pixel"


def test_a_file_that_needs_more_memory_than_allowed_is_refused() -> None:
    with pytest.raises(UserError, match="memory") as caught:
        decoding.decode(deep_png(8000), PictureLimits(memory_bytes=128 * 2**20))
    assert isinstance(caught.value, TooLarge)
    assert decoding.decode(MUTATED["png"], LIMITS).info.format == "png"


@pytest.mark.slow
def test_a_file_that_takes_too_long_is_refused() -> None:
    end_decoders()
    decoding.decode(MUTATED["png"], LIMITS)
    before = running_decoders()
    with pytest.raises(TooSlow, match="too long"):
        list(rendered_pictures(deep_png(8000), PictureLimits(cpu_seconds=1)))
    assert not running_decoders() & before
    assert decoding.decode(MUTATED["png"], LIMITS).info.format == "png"


# --- crashes


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGSTOP])
def test_a_decoder_that_crashes_or_hangs_is_a_refusal(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_decoders()
    decoding.decode(MUTATED["png"], LIMITS)
    (decoder,) = running_decoders()
    errors: list[UserError] = []
    monkeypatch.setattr(decoders, "WALL_FACTOR", 1)
    limits = PictureLimits(cpu_seconds=1) if number == signal.SIGSTOP else LIMITS

    def decode() -> None:
        try:
            decoding.decode(deep_png(8000), limits)
        except UserError as error:
            errors.append(error)

    begun = processes.cpu_seconds(decoder)
    thread = threading.Thread(target=decode)
    thread.start()
    processes.wait_until(lambda: processes.cpu_seconds(decoder) > begun + 0.1)
    os.kill(decoder, number)
    thread.join()
    (error,) = errors
    assert isinstance(error, TooSlow if number == signal.SIGSTOP else NotAnImage)
    assert not processes.is_running(decoder)
    assert decoding.decode(MUTATED["png"], LIMITS).info.format == "png"


def test_when_the_fork_server_is_killed_the_next_file_starts_another() -> None:
    decoding.decode(MUTATED["png"], LIMITS)
    (server,) = (
        pid
        for pid in processes.children(os.getpid())
        if b"fork_server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    left = processes.children(server)
    os.kill(server, signal.SIGKILL)
    processes.wait_until(lambda: not any(map(processes.is_running, left)))
    assert decoding.decode(MUTATED["png"], LIMITS).info.format == "png"


@pytest.mark.parametrize("module", ["cv2", "gallery"])
def test_decoders_that_cannot_start_are_no_fault_of_a_file(tmp_path: Path, module: str) -> None:
    with broken_decoders(tmp_path, module):
        for read in (decoding.inspect, decoding.decode):
            with pytest.raises(CannotStart, match="cannot start its decoders"):
                read(MUTATED["png"], LIMITS)
    assert decoding.decode(MUTATED["png"], LIMITS).info.format == "png"


BUSY_PARENT = """
import sys
from gallery.imaging import decoding
from gallery.imaging.decoding.limits import PictureLimits
data = sys.stdin.buffer.read()
print(decoding.inspect(data, PictureLimits()), flush=True)
while True:
    decoding.decode(data, PictureLimits())
"""


def test_no_decoder_outlives_the_service_process() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY_PARENT],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(deep_png(8000))
        parent.stdin.close()
        assert parent.stdout.readline()
        left = processes.descendants(parent.pid)
        assert len(left) == 2
        parent.kill()
    processes.wait_until(lambda: not any(map(processes.is_running, left)))


def test_a_decoder_has_no_network_and_none_of_the_service_s_environment() -> None:
    decoding.decode(MUTATED["png"], LIMITS)
    for decoder in running_decoders():
        status = Path(f"/proc/{decoder}/status").read_text()
        assert "Seccomp:\t2\n" in status
        environment = Path(f"/proc/{decoder}/environ").read_bytes()
        assert b"PATH=/" not in environment.replace(b"PYTHONPATH=/", b"")
        assert b"DATA_DIR" not in environment
        files = [str(one.readlink()) for one in Path(f"/proc/{decoder}/fd").iterdir()]
        ours = str(Path("/proc/self/fd/2").readlink())
        assert {name.partition(":")[0] for name in files if name != ours} == {
            "/dev/null",
            "socket",
            "/memfd",
        }


# --- the budget


HOLDER = """
import sys
from pathlib import Path
from gallery.imaging.decoding.budget import Budget
share = Budget(Path(sys.argv[1]), int(sys.argv[2])).take(int(sys.argv[3]))
print("held", flush=True)
sys.stdin.read()
"""
TOTAL = 4 * UNIT


def other_process(path: Path, cost: int) -> subprocess.Popen[bytes]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), str(TOTAL), str(cost)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    return holder


def impatient(budget: Budget, cost: int) -> Share | None:
    with decoding_for(Caller(patience=0.0)):
        return budget.take(cost)


def test_processes_share_the_budget_and_a_killed_one_gives_its_share_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with other_process(path, 3 * UNIT) as holder:
        budget = Budget(path, TOTAL)
        share = impatient(budget, UNIT)
        del share
        with pytest.raises(Busy) as caught:
            impatient(budget, 2 * UNIT)
        assert caught.value.wait >= 1
        assert impatient(budget, UNIT - 1) is None  # too small to be counted
        holder.kill()
    assert impatient(budget, 4 * UNIT) is not None


def test_more_than_the_budget_is_refused_for_good(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="64 MB allowed"):
        Budget(tmp_path / "lock", TOTAL).take(TOTAL + 1)


def test_a_share_is_given_back_with_the_last_pixels(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    needed = memory.needed(reading.open_data(deep_png(1000), LIMITS), "first")
    decoders.configure(budget_file=path, memory_bytes=needed)
    try:
        picture = decoding.decode(deep_png(1000), LIMITS)
        held = picture.rgb[5:]
        del picture
        with ThreadPoolExecutor(1) as other, pytest.raises(Busy):
            other.submit(impatient, Budget(path, needed), needed).result()
        del held
        with ThreadPoolExecutor(1) as other:
            assert other.submit(impatient, Budget(path, needed), needed).result() is not None
    finally:
        decoders._budget = None


def test_a_thread_that_holds_a_share_does_not_wait_for_itself(tmp_path: Path) -> None:
    budget = Budget(tmp_path / "lock", TOTAL)
    first = budget.take(3 * UNIT)
    second = budget.take(3 * UNIT)
    assert first is not None
    assert second is not None


def test_who_waits_gets_a_large_share_before_small_ones_that_come_later(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with other_process(path, 2 * UNIT) as holder, ThreadPoolExecutor(1) as waiting:
        large = waiting.submit(Budget(path, TOTAL).take, 4 * UNIT)
        processes.wait_until(lambda: _is_busy(Budget(path, TOTAL), UNIT))
        holder.kill()
        assert large.result(timeout=60) is not None


def _is_busy(budget: Budget, cost: int) -> bool:
    try:
        impatient(budget, cost)
    except Busy:
        return True
    return False


def test_what_was_decoded_is_counted_for_the_caller(tmp_path: Path) -> None:
    decoders.configure(budget_file=tmp_path / "lock", memory_bytes=2**31)
    caller = Caller()
    data = encode(photo(200, 100), "PNG")
    try:
        with decoding_for(caller):
            decoding.decode(data, LIMITS)
    finally:
        decoders._budget = None
    assert caller.spent == memory.needed(reading.open_data(data, LIMITS), "first")


def test_the_answer_is_the_same_whatever_the_strips() -> None:
    wide = encode(photo(3, 70_000 // 3), "PNG")
    tall = io.BytesIO()
    Image.open(io.BytesIO(wide)).transpose(Image.Transpose.ROTATE_90).save(tall, "PNG")
    turned = decoding.decode(tall.getvalue(), LIMITS).rgb
    assert np.array_equal(np.rot90(decoding.decode(wide, LIMITS).rgb), turned)


def test_an_animation_that_is_damaged_later_says_so() -> None:
    data = MUTATED["animated png"]
    cut = data[: data.rindex(b"fdAT") + 8]
    found = decoders.pictures(Job("all", LIMITS), cut)
    assert next(found).place == "full"
    with pytest.raises(NotAnImage, match=r"ends early|is damaged"):
        list(found)

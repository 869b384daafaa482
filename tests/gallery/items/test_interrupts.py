"""Ctrl-C is not lost, and does not come too early."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from gallery.shared.interrupts import interrupted_later


def test_it_comes_after_the_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupted_later():
        os.kill(os.getpid(), signal.SIGINT)
        done.append(1)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_of_the_block_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="mine"), interrupted_later():
        os.kill(os.getpid(), signal.SIGINT)
        raise ValueError("mine")


def test_where_it_is_ignored_it_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupted_later():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_is_left_alone() -> None:
    found = []

    def work() -> None:
        with interrupted_later():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]

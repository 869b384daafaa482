"""Turns words into the numbers that a CLIP model reads, as open_clip does, but without torch.

The pairs of characters that form words are read from open_clip's package.
"""

from __future__ import annotations

import gzip
import html
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import islice, pairwise
from pathlib import Path

import ftfy
import numpy as np
import regex
from numpy.typing import NDArray

Tokens = NDArray[np.int64]

START, END = "<start_of_text>", "<end_of_text>"
WORD_END = "</w>"
MERGES = 48_894
"""Lines of the file that the models were trained with; the rest is not used."""

_PIECES = regex.compile(
    rf"{START}|{END}|'(?:s|t|re|ve|m|ll|d)|\p{{L}}+|\p{{N}}|[^\s\p{{L}}\p{{N}}]+", regex.IGNORECASE
)


class Vocabulary:
    """The numbers of words and of parts of words. ``merges``: a gzip file with a pair a line."""

    def __init__(self, merges: Path) -> None:
        with gzip.open(merges, "rt", encoding="utf-8") as lines:
            pairs = [line.strip() for line in islice(lines, 1, MERGES + 1)]
        letters = list(_letters().values())
        names = [
            *letters,
            *(letter + WORD_END for letter in letters),
            *(pair.replace(" ", "") for pair in pairs),
            START,
            END,
        ]
        self._numbers = {name: number for number, name in enumerate(names)}
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}
        self._of_piece = lru_cache(maxsize=4096)(self._tokens_of_piece)

    def tokens(self, texts: Sequence[str], length: int) -> Tokens:
        """Return int64 N×``length``, filled up with zeros; longer texts are cut off."""
        rows = np.zeros((len(texts), length), np.int64)
        for row, text in zip(rows, texts, strict=True):
            found = [self._numbers[START], *self._of_text(text, length)][: length - 1]
            found.append(self._numbers[END])
            row[: len(found)] = found
        return rows

    def _of_text(self, text: str, enough: int) -> list[int]:
        found: list[int] = []
        for match in _PIECES.finditer(_clean(text)):
            found += self._of_piece(match.group())
            if len(found) >= enough:
                break
        return found

    def _tokens_of_piece(self, piece: str) -> list[int]:
        if piece in (START, END):
            return [self._numbers[piece]]
        letters = _letters()
        parts = [letters[byte] for byte in piece.encode()]
        parts[-1] += WORD_END
        while len(parts) > 1:
            ranks = (self._ranks.get(f"{a} {b}", MERGES) for a, b in pairwise(parts))
            rank, at = min((rank, at) for at, rank in enumerate(ranks))
            if rank == MERGES:
                break
            parts = list(_joined(parts, parts[at], parts[at + 1]))
        return [self._numbers[part] for part in parts]


@cache
def vocabulary(merges: Path) -> Vocabulary:
    """Read once in a process: a tenth of a second."""
    return Vocabulary(merges)


def _clean(text: str) -> str:
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


def _joined(parts: Sequence[str], left: str, right: str) -> Iterator[str]:
    """Join each ``left`` with a ``right`` that follows it."""
    at = 0
    while at < len(parts):
        pair = parts[at] == left and parts[at + 1 : at + 2] == [right]
        yield left + right if pair else parts[at]
        at += 2 if pair else 1


@cache
def _letters() -> dict[int, str]:
    """Return the visible character by which the vocabulary names each byte."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in visible]
    named = [*visible, *hidden]
    codes = [*visible, *range(0x100, 0x100 + len(hidden))]
    return dict(zip(named, map(chr, codes), strict=True))

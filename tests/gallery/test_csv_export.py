"""No cell of a CSV file is a formula, and what was escaped can be read back."""

from __future__ import annotations

import csv

import pytest

from gallery.shared.csv_export import FORMULA_STARTS, csv_lines, unescaped

RUNS = (
    *(f"{start}1+1" for start in FORMULA_STARTS),
    *("=cmd|' /C calc'!A0", "@SUM(1)", "-2+3+cmd", "'=1", "''=1", '=HYPERLINK("http://a")'),
)
HARMLESS = ("a=1", " a", "1-2", "'a", "", "ü")


@pytest.mark.parametrize("text", RUNS)
def test_a_formula_is_made_a_text(text: str) -> None:
    ((cell, in_list),) = csv.reader(list(csv_lines(["x", "y"], [[text, (text, "b")]]))[1:])
    assert cell == f"'{text}"
    assert in_list.startswith("'")
    assert unescaped(cell) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_another_text_stays_as_it_is(text: str) -> None:
    ((cell,),) = csv.reader(list(csv_lines(["x"], [[text]]))[1:])
    assert cell == unescaped(cell) == text

"""Tables of the search page as CSV, by the rule of all CSV files."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db
PATH = "/imgsmlr/table.csv"


def send(client: Client, table: Any) -> Any:
    return client.post(PATH, table, content_type="application/json")


def test_a_table_becomes_csv_that_no_spreadsheet_runs(client: Client, open_api: None) -> None:
    answer = send(client, {"columns": ["id", "remark"], "rows": [[1, "=1+1"], [-2, None]]})
    assert answer.status_code == 200
    assert answer["Content-Disposition"] == 'attachment; filename="results.csv"'
    assert b"".join(answer.streaming_content) == b"id,remark\r\n1,'=1+1\r\n'-2,\r\n"


@pytest.mark.parametrize(
    "table",
    [
        {}, [], {"columns": ["a"]}, {"columns": "a", "rows": [["x"]]}, {"columns": [1], "rows": []},
        {"columns": ["a"], "rows": [["x", "y"]]}, {"columns": ["a"], "rows": [[{"b": 1}]]},
        {"columns": ["a"], "rows": ["x"]}, {"columns": ["a"], "rows": 3},
        {"columns": ["a"] * 41, "rows": []}, {"columns": ["a"], "rows": [["x"]] * 10_001},
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused(client: Client, open_api: None, table: Any) -> None:
    assert send(client, table).status_code == 400


def test_nobody_without_access(client: Client) -> None:
    assert send(client, {"columns": [], "rows": []}).status_code == 401

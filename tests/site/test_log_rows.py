"""The log does not quote the rows that the database refused."""

from __future__ import annotations

import logging

import pytest
from django.db import IntegrityError, connection, transaction
from pythonjsonlogger.orjson import OrjsonFormatter

from imgsmlr_site.log_rows import NoRowsFilter

pytestmark = pytest.mark.django_db
INSERT = "INSERT INTO auth_group (id, name) VALUES (%s, 'planted')"


@pytest.mark.parametrize("formatter", [logging.Formatter(), OrjsonFormatter()])
@pytest.mark.parametrize("pk", [None, 10**6])
def test_a_traceback_says_what_failed_without_the_row(
    formatter: logging.Formatter, pk: int | None
) -> None:
    """A null, and a name that is there already: PostgreSQL quotes the row, and the key."""
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [10**6 + 1])
        with pytest.raises(IntegrityError, match="planted") as caught, transaction.atomic():
            cursor.execute(INSERT, [pk])
    error = caught.value
    shown = logging.LogRecord("x", logging.ERROR, "x", 1, "failed", None, None)
    shown.exc_info = (type(error), error, error.__traceback__)
    NoRowsFilter().filter(shown)
    text = formatter.format(shown)
    assert "IntegrityError" in text and "constraint" in text
    assert "(planted)" not in text and ", planted)" not in text

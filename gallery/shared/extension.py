"""Create the pgvector extension in a migration, or say what an administrator must run."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.db import utils
from pgvector.django import VectorExtension


class RequireVector(VectorExtension):
    """CREATE EXTENSION vector, with a readable message instead of a traceback on failure."""

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        try:
            super().database_forwards(app_label, schema_editor, *states)
        except (utils.ProgrammingError, utils.OperationalError, utils.NotSupportedError) as error:
            name = schema_editor.connection.settings_dict["NAME"]
            raise CommandError(
                f"The extension pgvector (≥ 0.8.5) is missing in the database {name} and this role "
                f"cannot create it ({str(error).strip().splitlines()[0]}). Ask an administrator to "
                f"run there: CREATE EXTENSION vector;"
            ) from error

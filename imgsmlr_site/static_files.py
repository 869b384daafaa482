"""Storage of static files: compressed and named by their content, including JavaScript imports."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStorage(CompressedManifestStaticFilesStorage):
    """Also renames imported modules, so that a new page never loads an old module."""

    support_js_module_import_aggregation = True

"""How static files are stored: compressed, named by their content, imports between modules too."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStorage(CompressedManifestStaticFilesStorage):
    """Also renames what our modules import: a new page must never meet an old module."""

    support_js_module_import_aggregation = True

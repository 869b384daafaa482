"""Django looks here for models; they are in ``gallery.items.models``."""

import gallery.items.models  # noqa: F401

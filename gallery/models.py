"""Django looks here for models; they are in their features."""

import gallery.items.models
import gallery.search.models  # noqa: F401

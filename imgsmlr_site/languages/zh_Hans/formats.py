"""As in English."""

from imgsmlr_site.languages.en.formats import *  # noqa: F403

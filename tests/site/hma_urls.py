"""The site with HMA's API below /hma/ and at the root."""

from django.urls import include, path, re_path

urlpatterns = [
    path("", include("imgsmlr_site.urls")),
    re_path(r"^hma(?=/)", include("moderation.hma.urls")),
    path("", include("moderation.hma.urls")),
]

"""The site as it is with a mail server."""

from django.urls import include, path

urlpatterns = [
    path("admin/", include("imgsmlr_site.accounts.reset_urls")),
    path("", include("imgsmlr_site.urls")),
]

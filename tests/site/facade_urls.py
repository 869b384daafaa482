"""The site with the APIs of IQDB and trace.moe."""

from django.urls import include, path

urlpatterns = [
    path("", include("imgsmlr_site.urls")),
    path("iqdb/", include("gallery.api.iqdb_urls")),
    path("trace.moe/", include("videos.api.trace_moe_urls")),
]

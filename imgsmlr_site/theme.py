"""How the admin looks, as django-unfold takes it; part of the settings."""

from __future__ import annotations

from django.templatetags.static import static

UNFOLD = {
    "SITE_TITLE": "imgsmlr",
    "SITE_HEADER": "imgsmlr",
    "SITE_SYMBOL": "image_search",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("favicon.svg")}
    ],
    "SITE_URL": "/imgsmlr/",
    "STYLES": [
        lambda request: static("imgsmlr_site/admin.css"),
        lambda request: static("videos/admin.css"),
        lambda request: static("admin_extra/moderation.css"),
    ],
    "SCRIPTS": [lambda request: static("gallery/items/show_clearly.js")],
    "LOGIN": {"form": "imgsmlr_site.login.LimitedLoginForm"},
    "DASHBOARD_CALLBACK": "imgsmlr_site.dashboard.dashboard",
    "SIDEBAR": {"navigation": "imgsmlr_site.navigation.navigation"},
}

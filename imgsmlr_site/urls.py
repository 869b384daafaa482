from __future__ import annotations

from allauth.account import views as account_views
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import include, path, re_path
from django.views.generic import RedirectView, TemplateView
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from imgsmlr_site import health, local_access, metrics, status
from imgsmlr_site.accounts.invitations import InvitationView
from imgsmlr_site.accounts.views import LoginView
from imgsmlr_site.browsable.root import Root
from imgsmlr_site.global_search import search_page
from imgsmlr_site.languages.script_texts import script_texts
from imgsmlr_site.operations.page import operations_page
from moderation.cases.console.dashboard import dashboard_page
from moderation.drill import running as drill
from moderation.gates.mastodon import Mastodon
from moderation.gates.pict_rs import PictRs
from moderation.gates.s3 import S3

handler400 = "imgsmlr_site.error_handlers.bad_request"
handler403 = "imgsmlr_site.error_handlers.permission_denied"
handler404 = "imgsmlr_site.error_handlers.not_found"
handler500 = "imgsmlr_site.error_handlers.server_error"


def favicon(request: HttpRequest) -> HttpResponse:
    """Answer browsers that request it although the page names no icon."""
    return redirect(static("favicon.svg"))


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="gallery:search")),
    path("", include("gallery.urls")),
    path("api/", Root.as_view()),
    path("api/v1/", Root.as_view(), name="api-root"),
    path("api/v1/", include("gallery.api.urls")),
    path("api/v1/", include("videos.api.urls")),
    path("api/v1/moderation/", include("moderation.urls")),
    path("api/v1/status/", status.StatusView.as_view(), name="status"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("admin/moderation/console/", include("moderation.console_urls")),
    path(
        "admin/moderation/dashboard/",
        dashboard_page,
        {"queues": health.queues, "last_drill": drill.last_ended},
        name="moderation-dashboard",
    ),
    path("admin/operations/", operations_page, name="operations"),
    path("admin/search/", search_page, name="global-search"),
    path("admin/login/", LoginView.as_view(), name="account_login"),
    path("admin/inactive/", account_views.account_inactive, name="account_inactive"),
    path("admin/reauthenticate/", account_views.reauthenticate, name="account_reauthenticate"),
    path("admin/second-factor/", include("allauth.mfa.urls")),
    path("admin/", include("allauth.socialaccount.providers.openid_connect.urls")),
    path(
        "admin/invitation/<uidb64>/<token>/",
        InvitationView.as_view(),
        name="password_reset_invitation",
    ),
    path(
        "admin/welcome/",
        TemplateView.as_view(template_name="accounts/welcome.html"),
        name="password_reset_welcome",
    ),
    *([path("admin/", include("imgsmlr_site.accounts.reset_urls"))] if settings.EMAIL_URL else []),
    path("admin/", admin.site.urls),
    path("", include("moderation.reports.urls")),
    path("gate/mastodon", Mastodon.as_view(), name="gate-mastodon"),
    path("gate/pict-rs", PictRs.as_view(), name="gate-pict-rs"),
    path("gate/s3", S3.as_view(), name="gate-s3"),
    *([re_path(r"^hma(?=/)", include("moderation.hma.urls"))] if settings.HMA_API != "off" else []),
    *([path("iqdb/", include("gallery.api.iqdb_urls"))] if settings.IQDB_API else []),
    *([path("trace.moe/", include("videos.api.trace_moe_urls"))] if settings.TRACE_MOE_API else []),
    path("enter/<str:token>", local_access.enter, name="enter"),
    path("favicon.ico", favicon),
    path("language/", set_language, name="set_language"),
    path("texts/<str:language>.js", script_texts, name="script-texts"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]
if settings.HMA_API == "root":
    urlpatterns.append(path("", include("moderation.hma.urls")))

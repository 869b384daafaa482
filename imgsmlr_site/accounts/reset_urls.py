"""A new password by mail. These pages are there if ``EMAIL_URL`` is set."""

from __future__ import annotations

from django.contrib.auth import views
from django.urls import path

from imgsmlr_site.accounts.forms import NewPasswordForm
from imgsmlr_site.accounts.views import ResetView

urlpatterns = [
    path("password_reset/", ResetView.as_view(), name="password_reset"),
    path(
        "password_reset/sent/",
        views.PasswordResetDoneView.as_view(),
        name="password_reset_done",
    ),
    path(
        "password_reset/<uidb64>/<token>/",
        views.PasswordResetConfirmView.as_view(form_class=NewPasswordForm),
        name="password_reset_confirm",
    ),
    path(
        "password_reset/done/",
        views.PasswordResetCompleteView.as_view(),
        name="password_reset_complete",
    ),
]

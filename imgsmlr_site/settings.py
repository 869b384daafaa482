"""All settings. Only this module reads the environment (``.env.example`` lists the variables)."""

from __future__ import annotations

import os
from pathlib import Path

import environ
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

# No threads of libraries, set before these are imported anywhere: BLAS threads beside the web
# threads halve the throughput (docs/benchmarks.md), and OpenCV's wait for work on a processor.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")

from imgsmlr_site.env import (
    env_bool,
    env_bucket,
    env_choice,
    env_float,
    env_int,
    env_list,
    env_networks,
    env_str,
    env_url,
    secret_from_file,
)
from imgsmlr_site.postgres.server import connection_settings
from imgsmlr_site.private_files import make_data_dir

BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(BASE_DIR / ".env")
VERSION = "0.1.0"

# --- Addresses and hosts ------------------------------------------------------------------
HOST = env_str("HOST", "127.0.0.1")
PORT = env_int("PORT", 8140, minimum=1, maximum=65535)
DATA_DIR = Path(env_str("DATA_DIR", str(BASE_DIR / "var"))).resolve()
if not DATA_DIR.exists():
    make_data_dir(DATA_DIR)
DEBUG = env_bool("DEBUG", False)
SECRET_KEY = env_str("SECRET_KEY") or secret_from_file(DATA_DIR / "secret_key")
# Probes and commands on this machine use these names, whatever the public name is.
ALLOWED_HOSTS = [*env_list("ALLOWED_HOSTS"), "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
TRUSTED_PROXIES = env_networks("TRUSTED_PROXIES")
OPEN_API = env_networks("OPEN_API")
HMA_API = env_choice("HMA_API", ("off", "hma", "root"))
"""Where HMA's API is served: nowhere, below ``/hma/``, or there and at the root."""
HMA_OPEN = env_networks("HMA_OPEN")
DRILL = env_bool("DRILL", True)
IQDB_API = env_bool("IQDB_API", False)
TRACE_MOE_API = env_bool("TRACE_MOE_API", False)
PICT_RS_GATE = env_choice("PICT_RS_GATE", ("off", "block", "review"))
"""The mildest verdict that the gate of pict-rs refuses."""
PICT_RS_FAILURE = env_choice("PICT_RS_FAILURE", ("closed", "open"))
"""Whether the gate accepts what could not be compared."""
S3_GATE = env_choice("S3_GATE", ("off", "block", "review"))
S3_FAILURE = env_choice("S3_FAILURE", ("closed", "open"))
S3_REFUSED = env_choice("S3_REFUSED", ("tag", "delete"))
"""What becomes of an object that the gate refuses."""
S3_ENDPOINT = env_url("S3_ENDPOINT", plain=True)
S3_REGION = env_str("S3_REGION", "us-east-1")
S3_BUCKETS = env_list("S3_BUCKETS")
S3_ACCESS_KEY = env_str("S3_ACCESS_KEY")
S3_SECRET_KEY = env_str("S3_SECRET_KEY")
MASTODON_GATE = env_choice("MASTODON_GATE", ("off", "block", "review"))
MASTODON_FAILURE = env_choice("MASTODON_FAILURE", ("closed", "open"))
MASTODON_SECRET = env_str("MASTODON_SECRET")
"""Of the webhook, with which Mastodon signs its messages."""
MASTODON_URL = env_url("MASTODON_URL", plain=True)
MASTODON_TOKEN = env_str("MASTODON_TOKEN")
THROTTLE_POINTS = env_int("THROTTLE_POINTS", 20_000, minimum=0)
LOGIN_ATTEMPTS = env_int("LOGIN_ATTEMPTS", 10, minimum=1)
PROMETHEUS_MULTIPROC_DIR = env_str("PROMETHEUS_MULTIPROC_DIR")
WEB_PROCESSES = env_int("WEB_PROCESSES", 2, minimum=1)
WEB_THREADS = env_int("WEB_THREADS", 4, minimum=1)
WEB_LINKS = env_int("WEB_LINKS", 16, minimum=1)
"""Links that one process fetches at once. Each holds a thread beside ``WEB_THREADS``."""
WEB_CONNECTIONS = env_int("WEB_CONNECTIONS", 500, minimum=10)
WEB_HEADER_SECONDS = env_float("WEB_HEADER_SECONDS", 10, minimum=1, maximum=3600)
WEB_BODY_SECONDS = env_float("WEB_BODY_SECONDS", 3600, minimum=1, maximum=86_400)
WEB_MIN_RATE = env_int("WEB_MIN_RATE", 1000, minimum=1)
WEB_GRACE_SECONDS = env_float("WEB_GRACE_SECONDS", 20, minimum=1, maximum=3600)
WEB_KEEP_ALIVE = env_float("WEB_KEEP_ALIVE", 15, minimum=1, maximum=3600)
WEB_SPOOL_BYTES = env_int("WEB_SPOOL_MB", 4096, minimum=1) * 2**20

# --- Pictures -----------------------------------------------------------------------------
KEEP_ORIGINALS = env_str("KEEP_ORIGINALS", "uploads")
"""Which originals are kept after description: ``all``, ``uploads`` or ``none``."""
MAX_UPLOAD_BYTES = env_int("MAX_UPLOAD_MB", 30, minimum=1) * 2**20
MAX_IMAGE_PIXELS = env_int("MAX_IMAGE_MEGAPIXELS", 64, minimum=1) * 1_000_000
DECODE_SECONDS = env_int("DECODE_SECONDS", 30, minimum=1)
"""Processor time for decoding one picture of ``MAX_IMAGE_PIXELS``."""
DECODE_MEMORY_BYTES = env_int("DECODE_MEMORY_MB", 3584, minimum=128) * 2**20
"""For all pictures that this host decodes at a time, and so for one."""
FETCH_TIMEOUT = env_float("FETCH_TIMEOUT", 15.0, minimum=0.1, maximum=300)
FETCH_REDIRECTS = env_int("FETCH_REDIRECTS", 3, minimum=0, maximum=20)
FETCH_ALLOW_PRIVATE = env_networks("FETCH_ALLOW_PRIVATE")
RECHECK_LINKS_DAYS = env_int("RECHECK_LINKS_DAYS", 7, minimum=0, maximum=3650)
"""Days after which an image that is known only by its link is fetched again; 0 = never."""
RECHECK_LINKS_HOURLY = env_int("RECHECK_LINKS_HOURLY", 2000, minimum=12)
MOVING_GATES = ["moderation.pipeline.gates.held_when_moved_in"]
LINK_GATES = ["moderation.pipeline.gates.may_link"]
"""Dotted paths of functions that check the changed content of a link."""
THUMBNAIL_SIZE = env_int("THUMBNAIL_SIZE", 320, minimum=64, maximum=2048)

# --- Videos -------------------------------------------------------------------------------
KEEP_VIDEOS = env_str("KEEP_VIDEOS", "uploads")
"""Which video files are kept after indexing: ``all``, ``uploads`` or ``none``."""
MAX_VIDEO_BYTES = env_int("MAX_VIDEO_MB", 1024, minimum=1) * 2**20
MAX_VIDEO_PIXELS = env_int("MAX_VIDEO_PIXELS", 4096 * 2304, minimum=64 * 64, maximum=16384 * 8704)
MAX_VIDEO_MINUTES = env_int("MAX_VIDEO_MINUTES", 360, minimum=1, maximum=24 * 60)
VIDEO_FETCH_TIMEOUT = env_float("VIDEO_FETCH_TIMEOUT", 60.0, minimum=0.1, maximum=3600)
VIDEO_TIMEOUT = env_int("VIDEO_TIMEOUT", 3600, minimum=10)
"""Seconds that indexing one video may take."""

# --- Moderation ---------------------------------------------------------------------------
MAX_LIST_BYTES = env_int("MAX_LIST_MB", 1024, minimum=1) * 2**20
"""Maximum size of an uploaded hash list; ``manage.py import_hash_list`` has no limit."""
TWO_PERSON_SEVERITY = env_str("TWO_PERSON_SEVERITY", "critical")
"""Cases of this severity or higher need two people, whatever their list says."""
QUALITY_SHARE = env_float("QUALITY_SHARE", 0.05, minimum=0, maximum=1)
"""Share of decided cases that a second moderator judges again without seeing the first decision."""
QUARANTINE_DAYS = env_int("QUARANTINE_DAYS", 0, minimum=0, maximum=36500)
"""Days after which the files of quarantined items are deleted; 0 = never."""
NOTICE_FORM = env_bool("NOTICE_FORM", False)
"""Whether anybody may send a notice about a picture by the form at /notices/."""
NOTICE_CONTACT_DAYS = env_int("NOTICE_CONTACT_DAYS", 30, minimum=0, maximum=3650)
"""Days after which it is forgotten who sent a notice that was closed."""
PUBLISHING_GATES = ["moderation.pipeline.gates.may_publish"]
"""Dotted paths of functions that may withhold an item; see ``gallery.items.publishing``."""
RETENTION_GUARDS = ["moderation.cases.retention.withheld"]
"""Dotted paths of functions that forbid releasing or deleting items
(``gallery.items.retention``)."""
RETENTION_OVERRIDE = "moderation.cases.retention.check_override"
"""Dotted path of the function that says who may do it anyway, with a reason."""
LIST_GUARDS = ["moderation.cases.retention.cases_needing_lists"]
"""Dotted paths of functions that say what still needs the lists to be deleted."""
MEDIA_GUARD = "moderation.cases.media_access.GUARD"
"""Dotted path of the object that decides who sees which media (``media_access``)."""
FLOOD_LIMIT = env_int("FLOOD_LIMIT", 100, minimum=1)
"""Uploads per hour above which an item's matches only lead to review; lists may override it."""
NEAR_CHECKS = env_int("NEAR_CHECKS", 50, minimum=1)
"""Contents near one item that a client may check per day before its answers become coarser."""
SCREEN_QUERIES = env_bool("SCREEN_QUERIES", False)
QUERY_GATES = ["moderation.pipeline.gates.refuse_banned_query"] if SCREEN_QUERIES else []
"""Dotted paths of functions that may refuse a query picture (``items.publishing``)."""
SHARE_GATES = ["moderation.pipeline.gates.refuse_doubtful_share"]
"""Dotted paths of functions that may refuse to share a search (``items.publishing``)."""
SWITCH_GATES = ["moderation.lists.describing.not_ready_for"]
"""Dotted paths of functions that may delay the switch to another CLIP model
(``items.backfill``)."""
MODERATORS_ALLOW_LIST = env_str("MODERATORS_ALLOW_LIST", "Allowed by moderators")
WEBHOOK_TIMEOUT = env_float("WEBHOOK_TIMEOUT", 10.0, minimum=0.1, maximum=60)
WEBHOOK_ALLOW_PRIVATE = env_networks("WEBHOOK_ALLOW_PRIVATE")
EXCHANGE_TIMEOUT = env_float("EXCHANGE_TIMEOUT", 60.0, minimum=0.1, maximum=600)
EXCHANGE_ALLOW_PRIVATE = env_networks("EXCHANGE_ALLOW_PRIVATE")

# --- Searching ----------------------------------------------------------------------------
SEARCH_LIMIT = env_int("SEARCH_LIMIT", 20, minimum=1, maximum=500)
SHARE_HOURS = env_int("SHARE_HOURS", 24, minimum=0, maximum=168)
"""Hours for which the picture of a search is kept if its sender shares it; 0 = nobody shares."""
MILVUS_URL = env_url("MILVUS_URL", plain=True)
"""Milvus that proposes images to searches; "" = pgvector does. docs/operations.md"""
MILVUS_TOKEN = env_str("MILVUS_TOKEN")
SEARCH_SIMR_THRESHOLD = env_float("SEARCH_SIMR_THRESHOLD", 0.1, minimum=0, maximum=1e9)
CLIP_MODEL = env_str("CLIP_MODEL", "ViT-B-32")
CLIP_PRETRAINED = env_str("CLIP_PRETRAINED", "datacomp_xl_s13b_b90k")
"""An open_clip tag, a weights file, a model directory, or ``none`` for off."""
CLIP_PRECISION = env_choice("CLIP_PRECISION", ["auto", "fp32", "pure_bf16"])
"""Accepted, so that older configurations go on. All vectors are made in fp32."""
CLIP_THREADS = env_int("CLIP_THREADS", 1, minimum=1)

# --- Django -------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "gallery.apps.GalleryConfig",
    "videos.apps.VideosConfig",
    "moderation.apps.ModerationConfig",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "imgsmlr_site.apps.SiteConfig",
    # After it, because its command qcluster is replaced.
    "django_q",
]
MIDDLEWARE = [
    "imgsmlr_site.request_log.RequestLogMiddleware",
    "imgsmlr_site.metrics.MetricsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "imgsmlr_site.csp.ContentSecurityPolicyMiddleware",
    "imgsmlr_site.languages.middleware.LanguageMiddleware",
    "imgsmlr_site.edge.EdgeMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "imgsmlr_site.accounts.sessions.SessionLimitsMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "imgsmlr_site.access.AccessMiddleware",
    "imgsmlr_site.accounts.events.ActorMiddleware",
    "imgsmlr_site.decoding.DecodingMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "imgsmlr_site.accounts.first_steps.FirstStepsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
AUTHENTICATION_BACKENDS = ["imgsmlr_site.accounts.permissions.RoleBackend"]
ROOT_URLCONF = "imgsmlr_site.urls"
WSGI_APPLICATION = "imgsmlr_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "imgsmlr_site.accounts.views.account_pages",
            ]
        },
    }
]
# Of everything but pages (imgsmlr_site/languages): APIs, commands, logs, tasks.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
# Before those of libraries, which have some of the same texts.
LOCALE_PATHS = [
    BASE_DIR / app / "locale" for app in ("imgsmlr_site", "gallery", "videos", "moderation")
]
FORMAT_MODULE_PATH = "imgsmlr_site.languages"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 12}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    )
]
CSRF_FAILURE_VIEW = "imgsmlr_site.error_handlers.csrf_failure"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
# Shared by all processes: a code of a second factor counts once. (Throttles have their own table.)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "imgsmlr_site_cache",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }
}

# --- Accounts: docs/security.md ------------------------------------------------------------
SECOND_FACTOR = env_choice("SECOND_FACTOR", ("lead", "viewer", "moderator", "admin", "none"))
"""The least role that needs a second factor, or ``none``."""
SESSION_IDLE_HOURS = env_float("SESSION_IDLE_HOURS", 8, minimum=0.01, maximum=24 * 365)
SESSION_HOURS = env_float("SESSION_HOURS", 12, minimum=0.01, maximum=24 * 365)
SESSION_COOKIE_AGE = int(SESSION_HOURS * 3600)
ACCOUNT_ADAPTER = "imgsmlr_site.accounts.adapters.AccountAdapter"
# A person who may not open the admin gets the login page, which says so.
ACCOUNT_AUTHENTICATED_LOGIN_REDIRECTS = False
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_FORMS = {
    "login": "imgsmlr_site.accounts.forms.LoginForm",
    "reauthenticate": "imgsmlr_site.accounts.forms.PasswordForm",
}
# LOGIN_ATTEMPTS limits logins (accounts/throttle.py).
ACCOUNT_RATE_LIMITS = {"login": None, "login_failed": None}
ACCOUNT_SESSION_REMEMBER = True
MFA_ADAPTER = "imgsmlr_site.accounts.adapters.FactorAdapter"
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_FORMS = {
    "authenticate": "imgsmlr_site.accounts.forms.CodeForm",
    "reauthenticate": "imgsmlr_site.accounts.forms.CodeAgainForm",
    "activate_totp": "imgsmlr_site.accounts.forms.SetUpForm",
}
# Clocks of phones may be half a minute wrong.
MFA_TOTP_TOLERANCE = 1
OIDC_ISSUER = env_url("OIDC_ISSUER")
"""Where people log in by OpenID Connect, or "" for no single sign-on."""
OIDC_NAME = env_str("OIDC_NAME", "single sign-on")
OIDC_SECOND_FACTOR = env_bool("OIDC_SECOND_FACTOR", False)
"""Whether the provider asks for a second factor itself, so that none is needed here."""
SOCIALACCOUNT_ADAPTER = "imgsmlr_site.accounts.single_sign_on.SingleSignOnAdapter"
# The login page has a link: the policy for forms would not let a browser follow to the provider.
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "sso",
                "name": OIDC_NAME,
                "client_id": env_str("OIDC_CLIENT_ID"),
                "secret": env_str("OIDC_CLIENT_SECRET"),
                "settings": {"server_url": OIDC_ISSUER},
            }
        ]
        if OIDC_ISSUER
        else [],
    }
}

# --- Mail: resets of passwords --------------------------------------------------------------
EMAIL_URL = env_str("EMAIL_URL")
"""A mail server, or "" for no mails."""
vars().update(environ.Env.email_url_config(EMAIL_URL or "dummymail://"))
DEFAULT_FROM_EMAIL = env_str("EMAIL_FROM", "imgsmlr@localhost")
PASSWORD_RESET_TIMEOUT = 3600

# --- Database -----------------------------------------------------------------------------
DATABASE_URL = env_str("DATABASE_URL")
DATABASE_REPLICA_URL = env_str("DATABASE_REPLICA_URL")
DATABASE_REPLICA_LAG = env_float("DATABASE_REPLICA_LAG", 5, minimum=0, maximum=3600)
"""Seconds by which the replica may lag; a search does not ask one that lags more."""
_CONNECTIONS = {
    "ENGINE": "django.db.backends.postgresql",
    # Connections live as long as their thread: opening one costs more than a search.
    "CONN_MAX_AGE": None,
    "CONN_HEALTH_CHECKS": True,
}
DATABASES = {
    "default": {
        **(
            environ.Env.db_url_config(DATABASE_URL)
            if DATABASE_URL
            else connection_settings(DATA_DIR)
        ),
        **_CONNECTIONS,
        "TEST": {"TEMPLATE": "template0"},
    }
}
if DATABASE_REPLICA_URL:
    # Read by gallery.search.replica alone.
    _replica = environ.Env.db_url_config(DATABASE_REPLICA_URL)
    _replica["OPTIONS"] = {"connect_timeout": 3, **_replica.get("OPTIONS", {})}
    DATABASES["replica"] = {**_replica, **_CONNECTIONS}

# --- Files --------------------------------------------------------------------------------
BACKUP_DIR = Path(env_str("BACKUP_DIR", str(DATA_DIR / "backups"))).resolve()
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "imgsmlr_site.static_files.AppDirectories",
]
MEDIA_ROOT = DATA_DIR / "media"
MEDIA_S3_URL = env_bucket("MEDIA_S3_URL")
"""The bucket of media, or {} for ``MEDIA_ROOT``."""
STORAGES = {
    "default": {
        "BACKEND": "gallery.shared.object_storage.ObjectStorage"
        if MEDIA_S3_URL
        else "django.core.files.storage.FileSystemStorage",
        "OPTIONS": MEDIA_S3_URL,
    },
    "staticfiles": {"BACKEND": "imgsmlr_site.static_files.HashedStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = [
    *("jpg", "jpeg", "png", "gif", "webp", "zip", "gz", "woff", "woff2", "map")
]
# Whatever the umask: hosts may start the service in their own ways.
FILE_UPLOAD_PERMISSIONS, FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o600, 0o700
FILE_UPLOAD_MAX_MEMORY_SIZE = MAX_UPLOAD_BYTES
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20
MAX_REQUEST_BYTES = 2 * MAX_UPLOAD_BYTES + DATA_UPLOAD_MAX_MEMORY_SIZE
MAX_VIDEO_REQUEST_BYTES = MAX_VIDEO_BYTES + DATA_UPLOAD_MAX_MEMORY_SIZE
MAX_LIST_REQUEST_BYTES = MAX_LIST_BYTES + DATA_UPLOAD_MAX_MEMORY_SIZE
"""Request limit of the paths that accept lists. Files above ``MAX_UPLOAD_BYTES`` go to disk."""

# --- Background work: docs/adr/ explains each number ---------------------------------------
WORKER_NICE = env_int("WORKER_NICE", 5, minimum=0)
Q_WORKERS = env_int("Q_WORKERS", 1, minimum=1)
Q_EMBED_WORKERS = env_int("Q_EMBED_WORKERS", 1, minimum=1)
Q_VIDEO_WORKERS = env_int("Q_VIDEO_WORKERS", 1, minimum=1)
Q_LISTS_WORKERS = env_int("Q_LISTS_WORKERS", 2, minimum=1)
MAX_QUEUE = env_int("MAX_QUEUE", 20_000, minimum=1)
TASK_TIMEOUT = env_int("TASK_TIMEOUT", 120, minimum=10)
Q_CLUSTER = {
    "name": "light",
    "orm": "default",
    "workers": Q_WORKERS,
    "timeout": TASK_TIMEOUT,
    "retry": TASK_TIMEOUT * 3,
    "max_attempts": 3,
    "ack_failures": False,
    "save_limit": -1,
    "catch_up": False,
    "recycle": 1000,
    "label": "Background work",
    "ALT_CLUSTERS": {
        "embed": {
            "workers": Q_EMBED_WORKERS,
            "timeout": TASK_TIMEOUT * 5,
            "retry": TASK_TIMEOUT * 15,
        },
        "video": {
            "workers": Q_VIDEO_WORKERS,
            # Indexing ends by VIDEO_TIMEOUT; this timeout is for tasks that hang.
            "timeout": VIDEO_TIMEOUT + 120,
            "retry": (VIDEO_TIMEOUT + 120) * 3,
        },
        # Imports of hash lists, scans and webhooks are slow or wait for others, and must not delay
        # pictures. Two workers, so that an import does not delay webhooks.
        "lists": {
            "workers": Q_LISTS_WORKERS,
            "timeout": 3600,
            "retry": 3600 * 3,
        },
    },
}
TASKS_OF_EACH_HOST = {"lists": ["moderation.tasks.refresh_hash_index"]}
"""Cluster → tasks that it does every ten minutes. Those of the queue are taken by any host."""

# --- HTTP API -----------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["imgsmlr_site.authentication.AccessAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["imgsmlr_site.authentication.ScopePermission"],
    "DEFAULT_THROTTLE_CLASSES": ["imgsmlr_site.throttling.CostThrottle"],
    "DEFAULT_PARSER_CLASSES": [
        "imgsmlr_site.formats.JsonParser",
        "imgsmlr_site.formats.FormParser",
        "imgsmlr_site.formats.MultiPartParser",
    ],
    "DEFAULT_RENDERER_CLASSES": [
        "imgsmlr_site.formats.OrjsonRenderer",
        "imgsmlr_site.browsable.renderer.PageRenderer",
    ],
    "DEFAULT_PAGINATION_CLASS": "imgsmlr_site.formats.NewestFirst",
    "DEFAULT_METADATA_CLASS": "imgsmlr_site.browsable.metadata.BodyMetadata",
    "EXCEPTION_HANDLER": "imgsmlr_site.errors.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "imgsmlr_site.api_schema.ApiSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "imgsmlr-server",
    "DESCRIPTION": """\
Find pictures and videos by picture, and keep banned ones out.

[Search page](/imgsmlr/) · [this API as pages with forms](/api/v1/) · [admin](/admin/) · \
[this document as a file](/api/schema/)

**Access.** A program sends an API key, as `Authorization: Bearer imgs_…` or `X-API-Key: imgs_…`. \
Superusers make keys in the [admin](/admin/imgsmlr_site/apikey/). A key has scopes, and each \
operation says which one it needs. Only keys of a person decide cases. On this page you need no \
key while you are signed in: *Try it out* sends your login.

**Trying it out.** The examples name rows that a service with some data has (mostly the first), \
and links to the picture that the README's first steps serve. Put in your own ids, links and \
files. What you send is done: it changes and deletes like any other request.

**Errors** have one shape: `type`, `code`, `detail` and, where one field is wrong, `field`.
""",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "imgsmlr_site.api_schema.add_tags",
    ],
    # JavaScript: see static/imgsmlr_site/swagger.js.
    "SWAGGER_UI_SETTINGS": "{deepLinking: true, filter: true, plugins: [formsWithExamples]}",
    "ENUM_NAME_OVERRIDES": {
        "ItemStatusEnum": "gallery.items.item.Status",
        "ListKindEnum": "moderation.models.BannedList.Kind",
        "MatchTypeEnum": "moderation.lists.verdicts.MATCH_TYPES",
        "HashTypeEnum": "moderation.lists.models.HASH_KINDS",
        "OpinionEnum": "moderation.models.BannedItem.Opinion",
        "CaseStateEnum": "moderation.cases.states.CaseState",
        "CaseStatusEnum": "moderation.cases.api.serializers.STATUSES",
        "DecideVerbEnum": "moderation.cases.api.serializers.VERBS",
        "DecisionVerbEnum": "moderation.models.Decision.Verb",
        "ReasonEnum": "moderation.cases.api.serializers.ALL_REASONS",
        "NoticeReasonEnum": "moderation.models.Notice.Reason",
    },
}

# --- The admin's look ---------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": "imgsmlr",
    "SITE_HEADER": "imgsmlr",
    "SITE_SYMBOL": "image_search",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("favicon.svg")}
    ],
    "SITE_URL": "/imgsmlr/",
    "SHOW_LANGUAGES": True,
    # The search page's blue (static/base.css): 600 is its accent, 400 that of its dark theme.
    "COLORS": {
        "primary": {
            "50": "#f2f5fe",
            "100": "#e8eefc",
            "200": "#cfdbfb",
            "300": "#b3c8ff",
            "400": "#93b1ff",
            "500": "#5b84f0",
            "600": "#2750c4",
            "700": "#2143a5",
            "800": "#1d3987",
            "900": "#1d2842",
            "950": "#131a2e",
        }
    },
    "STYLES": [
        lambda request: static("imgsmlr_site/admin.css"),
        lambda request: static("videos/admin.css"),
        lambda request: static("moderation/admin.css"),
    ],
    "SCRIPTS": [
        "imgsmlr_site.languages.script_texts.for_admin",
        lambda request: static("imgsmlr_site/file_inputs.js"),
        lambda request: static("imgsmlr_site/kept_selection.js"),
        lambda request: static("imgsmlr_site/global_search.js"),
        lambda request: static("gallery/items/show_clearly.js"),
    ],
    "ACCOUNT": {
        "navigation": [
            {"title": _("Change password"), "link": reverse_lazy("admin:password_change")},
            {"title": _("Second factor"), "link": reverse_lazy("mfa_index")},
        ]
    },
    "DASHBOARD_CALLBACK": "imgsmlr_site.dashboard.dashboard",
    "SIDEBAR": {"navigation": "imgsmlr_site.navigation.navigation"},
}

# --- Security -----------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
HTTPS = env_bool("HTTPS", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = HTTPS
# Probes and the start of the service ask without the proxy.
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
# Other names of the domain, and browsers' lists of domains, are not this service's to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

# --- Logs ---------------------------------------------------------------------------------
LOG_FORMAT = env_choice("LOG_FORMAT", ("text", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "imgsmlr_site.request_ids.RequestIdFilter"},
        "outage": {"()": "imgsmlr_site.outages.WithoutTraceback"},
        "no_rows": {"()": "imgsmlr_site.log_rows.NoRowsFilter"},
    },
    "formatters": {
        "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s [%(request_id)s]"},
        "json": {
            "()": "pythonjsonlogger.orjson.OrjsonFormatter",
            "fmt": ["levelname", "name", "process", "message", "request_id"],
            "timestamp": "time",
            "rename_fields": {"levelname": "level", "name": "logger"},
        },
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["request_id", "outage", "no_rows"],
        }
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # django-q2 logs a line for each task it receives.
        "django-q": {"level": "WARNING"},
        # A 4xx is logged once, with its reason, by request_log.
        "django.request": {"level": "ERROR"},
        # waitress logs a line for each request that waits for a thread.
        "waitress.queue": {"level": "ERROR"},
        # gunicorn gives it a handler of its own, which would not follow LOG_FORMAT.
        "gunicorn.error": {"handlers": [], "propagate": True},
    },
}

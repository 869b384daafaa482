"""WSGI entry point: ``gunicorn imgsmlr_site.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imgsmlr_site.settings")
application = get_wsgi_application()

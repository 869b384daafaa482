#!/usr/bin/env python
"""Django's command line."""

import os
import sys

from imgsmlr_site.private_files import close_to_others

OF_SOURCES = ("makemigrations", "write_docs")
"""Commands that write source files, which others may read."""

if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] not in OF_SOURCES:
        close_to_others()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imgsmlr_site.settings")
    if sys.argv[1:2] == ["up"]:
        # Without the applications: see apart().
        from imgsmlr_site.management.commands.up import Command

        Command().run_from_argv(sys.argv)
    else:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)

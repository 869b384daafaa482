"""``manage.py reset_second_factor NAME``: for a person who lost it and whom no other can help."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from gallery.shared.errors import UserError
from imgsmlr_site.accounts.recovery import reset_second_factor


class Command(BaseCommand):
    help = "Delete a user's second factor and recovery codes, and end this user's sessions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the name that the user logs in with")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        try:
            reset_second_factor(User.objects.get(username=name))
        except User.DoesNotExist as error:
            raise CommandError(f"There is no user named {name}.") from error
        except UserError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"The second factor of {name} is reset.")

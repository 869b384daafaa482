"""Who may do what in moderation: roles, and the least role for each action.

Services call ``check``, which raises ``NotAllowed``; pages call ``can``, which returns a bool. A
role includes all lower roles. Roles are Django groups of the same names, which a migration creates.
A superuser is an admin.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from django.contrib.auth.models import AbstractUser, AnonymousUser, User
from django.utils.translation import gettext, gettext_noop

from gallery.shared.access import Access
from gallery.shared.errors import Conflict, UserError
from moderation.access.stored_sentences import sentence
from moderation.access.words import word


class Role(IntEnum):
    """In ascending order. The groups have these names in lower case."""

    NOBODY = 0
    VIEWER = 1
    MODERATOR = 2
    LEAD = 3
    ADMIN = 4

    @classmethod
    def of(cls, user: AbstractUser | AnonymousUser) -> Role:
        """Return the highest role of a user's groups; ``NOBODY`` unless active and staff.

        It is read from the database each time, so a removed role ends with the next request.
        """
        if not (user.is_active and user.is_staff) or user.is_superuser:
            return cls.named(user, ())
        return cls.named(user, [name for (name,) in user.groups.values_list("name")])

    @classmethod
    def named(cls, user: AbstractUser | AnonymousUser, groups: Iterable[str]) -> Role:
        """Return the highest role of these groups of the user."""
        if not (user.is_active and user.is_staff):
            return cls.NOBODY
        if user.is_superuser:
            return cls.ADMIN
        names = {name.upper() for name in groups}
        return max((role for role in cls if role.name in names), default=cls.NOBODY)


GROUPS: Final = tuple(role.name.lower() for role in Role if role is not Role.NOBODY)


class NotAllowed(UserError):
    code = "forbidden"


class Deferred(Conflict, ABC):
    """Nothing was changed. The request can be stored, and another person confirms or refuses it."""

    @abstractmethod
    def store(self) -> object:
        """Store the request. A page whose transaction was rolled back stores it again."""


@dataclass(frozen=True)
class Actor:
    """Who acts. Rows and the audit store ``name``. ``user`` is None if it is not a person.

    ``via_key``: a program sent the request, perhaps for a person. ``client``: the client whose
    budget is charged. ``confirmed``: a second person has agreed to exactly this action.
    """

    name: str
    role: Role
    user: Any = None
    via_key: bool = False
    client: str = ""
    confirmed: bool = False

    @classmethod
    def person(cls, user: Any) -> Actor:
        return cls(f"user:{user.get_username()}", Role.of(user), user)

    @classmethod
    def machine(cls, name: str) -> Actor:
        """Return a worker or a command on the server, which may do everything."""
        return cls(name, Role.ADMIN)

    @classmethod
    def caller(cls, access: Access) -> Actor:
        """Return the sender of a request.

        The role is the one that the request has read. A key of a user has it if it has a moderation
        scope, otherwise no role. A key without a user may edit lists if it has the scope ``lists``,
        but cannot decide cases.
        """
        user = getattr(access, "user", None)
        via_key = access.via == "key"
        moderates = access.allows("lists") or access.allows("moderate")
        if via_key and not moderates:
            role = Role.NOBODY
        elif user is not None:
            role = getattr(access, "role", Role.NOBODY)
        else:
            role = Role.LEAD if access.allows("lists") else Role.NOBODY
        return cls(access.actor, role, user, via_key, access.client)


def actor_of(request: Any) -> Actor:
    """Return the logged-in user of a page. The role is read once per request."""
    kept: Actor | None = getattr(request, "moderation_actor", None)
    if kept is None:
        kept = request.moderation_actor = Actor.person(request.user)
    return kept


OVERRIDE: Final = gettext_noop("override what cases withhold")

LEAST: Final[dict[str, Role]] = {
    gettext_noop("view lists"): Role.VIEWER,
    gettext_noop("view cases"): Role.VIEWER,
    gettext_noop("see media"): Role.MODERATOR,
    gettext_noop("see matches"): Role.MODERATOR,
    gettext_noop("decide cases"): Role.MODERATOR,
    gettext_noop("give opinions"): Role.MODERATOR,
    gettext_noop("edit lists"): Role.LEAD,
    gettext_noop("edit items"): Role.LEAD,
    gettext_noop("import lists"): Role.LEAD,
    gettext_noop("export lists"): Role.LEAD,
    gettext_noop("decide escalated cases"): Role.LEAD,
    gettext_noop("undo the decisions of others"): Role.LEAD,
    gettext_noop("view the audit"): Role.LEAD,
    gettext_noop("set and lift legal holds"): Role.LEAD,
    gettext_noop("see who sent a notice"): Role.LEAD,
    gettext_noop("draft reports to authorities"): Role.LEAD,
    gettext_noop("choose golden cases"): Role.LEAD,
    gettext_noop("pull from exchanges"): Role.LEAD,
    OVERRIDE: Role.ADMIN,
    gettext_noop("delete lists"): Role.ADMIN,
    gettext_noop("edit webhooks"): Role.ADMIN,
    gettext_noop("edit exchanges"): Role.ADMIN,
    gettext_noop("export media"): Role.ADMIN,
}
"""Action, worded as the end of a sentence → the least role that may do it."""


def can(actor: Actor, action: str) -> bool:
    return actor.role >= LEAST[action]


def check(actor: Actor, action: str) -> None:
    """Raise ``NotAllowed`` unless the actor's role may do the action, one of ``LEAST``."""
    if not can(actor, action):
        least = LEAST[action].name.lower()
        raise NotAllowed(
            gettext("Only a %(least)s may %(action)s; %(name)s may not.")
            % {
                "least": word(least),
                "action": sentence(action),
                "name": actor.name,
            }
        )


def person(by: Actor) -> User:
    """Return the person who acts. Raise ``NotAllowed`` for a machine or a key without a user."""
    if by.user is None:
        raise NotAllowed(
            gettext("%(name)s is not a person: use a key that is bound to a user.")
            % {"name": by.name}
        )
    user: User = by.user
    return user

"""Who makes a request, and what they may do: keys, sessions, open networks, cross-site refusal.

``AccessMiddleware`` puts an ``Access`` on each request as ``request.access``; the apps use it by
its shape and never import this module. The database is asked when it is first read.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from gallery.net.addresses import Address, in_networks
from gallery.shared.access import Access as Caller
from gallery.shared.errors import UserError
from imgsmlr_site.models import ApiKey, Scope, digest
from imgsmlr_site.throttling import Throttled, spend
from moderation.access.permissions import Actor, Role, can

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_SCOPES = frozenset({Scope.SEARCH.value, Scope.ADD.value, Scope.CHECK.value})
ALL_SCOPES = frozenset(Scope.values)
ROLE_SCOPES = {
    Role.NOBODY: frozenset({Scope.SEARCH.value}),
    Role.VIEWER: frozenset({Scope.SEARCH.value, Scope.CHECK.value, Scope.LISTS.value}),
    Role.MODERATOR: ALL_SCOPES,
    Role.LEAD: ALL_SCOPES,
    Role.ADMIN: ALL_SCOPES,
}
"""The most that a person, or a key of that person, may do; services check the role, too."""
UNBOUND_SCOPES = ALL_SCOPES - {Scope.MODERATE.value}
"""The most that a key without a user may do: decisions are personal."""

THROTTLE_PERIOD = 60.0

FORWARDING_HEADERS = ("FORWARDED", "X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_REAL_IP", "VIA")


class AccessRefused(UserError):
    """The caller may not do this."""

    code = "access_refused"


class NotAuthenticated(AccessRefused):
    """No valid key or session came with the request."""

    code = "not_authenticated"


class Forbidden(AccessRefused):
    """Known or open caller, but not allowed."""

    code = "forbidden"


CHALLENGE = 'Bearer realm="api"'
"""The WWW-Authenticate header of a 401; browsers show no password box for it."""
HOW_TO_ASK = "Send an API key as 'Authorization: Bearer <key>' or 'X-API-Key: <key>', or log in."


@dataclass(frozen=True, slots=True)
class Access:
    """What one request may do.

    ``actor`` is written into rows and logs (``key:loader``, ``user:admin``, ``open``, ``none``);
    throttles count ``client``. ``role``: of its user at this moment. ``refusal``: why the request
    has no scopes, where a sentence can say so.
    """

    actor: str
    scopes: frozenset[str]
    via: Literal["key", "session", "open", "none"]
    client: str
    user: AbstractUser | None = None
    role: Role = Role.NOBODY
    refusal: AccessRefused | None = None

    @property
    def superuser(self) -> bool:
        """A logged-in superuser; a superuser's key has its own scopes and no more."""
        is_superuser = self.user is not None and self.user.is_superuser
        return self.via == "session" and is_superuser and self.role == Role.ADMIN

    @property
    def probes_as(self) -> str:
        """``client``; empty for callers who may see matches."""
        return "" if can(Actor.caller(cast(Caller, self)), "see matches") else self.client

    def allows(self, scope: str) -> bool:
        return scope in self.scopes

    def may_change(self, added_by: str) -> bool:
        """Whether an item is the caller's to change and delete: their own, a lead's any.

        An open network is the operator's own, whose items have no other owner.
        """
        return added_by == self.actor or self.role >= Role.LEAD or self.via == "open"

    def require(self, scope: str) -> None:
        """Raise ``NotAuthenticated`` or ``Forbidden`` unless the scope is held."""
        if scope not in self.scopes:
            raise self.missing(f"the scope '{scope}'")

    def charge(self, cost: float) -> None:
        """Take points of the client's ``THROTTLE_POINTS`` per minute. Raises ``Throttled``.

        Call it outside transactions (see ``throttling.spend``). REST framework's views are
        charged by ``throttling.CostThrottle``.
        """
        if wait := spend(self.client, cost, settings.THROTTLE_POINTS, THROTTLE_PERIOD):
            raise Throttled(wait)

    def missing(self, what: str) -> AccessRefused:
        """The refusal to raise when the request lacks ``what``."""
        if self.refusal:
            return self.refusal
        if self.via == "none":
            return NotAuthenticated(f"This needs {what}. {HOW_TO_ASK}")
        return Forbidden(f"This needs {what}, which {self.actor} does not have.")


def resolve(request: HttpRequest) -> Access:
    """The access of a request. A key that was sent counts alone, even if it is wrong.

    Costs one query with a key, three if it is bound to a user, four with a session, none otherwise.
    Nothing of it is kept from one request to the next.
    """
    address, direct = client_address(request)
    client = f"ip:{throttle_address(address)}"
    text = presented_key(request)
    if text is not None:
        return key_access(text, client)
    is_open = direct and address is not None and in_networks(address, settings.OPEN_API)
    user = request.user
    if user.is_authenticated and user.is_active:
        access = session_access(user, is_open)
    elif is_open:
        access = Access("open", OPEN_SCOPES, "open", client)
    else:
        return Access("none", frozenset(), "none", client)
    guarded = access.via == "open" or request.method not in SAFE_METHODS
    if guarded and is_cross_site(request):
        refusal = Forbidden(
            "A page of another site may not use this service on your behalf. Use the service's "
            "own pages, send an API key, or list the site in CSRF_TRUSTED_ORIGINS.",
            code="cross_site",
        )
        return Access(access.actor, frozenset(), "none", access.client, refusal=refusal)
    return access


def presented_key(request: HttpRequest) -> str | None:
    """The key text of ``Authorization: Bearer`` or ``X-API-Key``; None if neither was sent."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return request.headers.get("X-API-Key")


def key_access(text: str, client: str) -> Access:
    """The access of a key, or a refusal that says what is wrong with it."""
    now = timezone.now()
    try:
        key = ApiKey.objects.get(sha256=digest(text))
    except ApiKey.DoesNotExist:
        problem = "This API key is not known here: check that it was copied whole."
    else:
        if not (ended := key.ended(now)):
            key.touch(now)
            role = Role.NOBODY if key.user is None else Role.of(key.user)
            most = UNBOUND_SCOPES if key.user is None else ROLE_SCOPES[role]
            scopes = most.intersection(key.scopes)
            return Access(f"key:{key.name}", scopes, "key", f"key:{key.pk}", key.user, role)
        problem = f"The API key {key.name} is {ended}: ask an administrator for a new one."
    refusal = NotAuthenticated(problem, code="invalid_key")
    return Access("none", frozenset(), "none", client, refusal=refusal)


def session_access(user: AbstractUser, is_open: bool) -> Access:
    """The access of a logged-in user, who never has less than an anonymous open client."""
    role = Role.of(user)
    scopes = ROLE_SCOPES[role] | OPEN_SCOPES if is_open else ROLE_SCOPES[role]
    return Access(f"user:{user.get_username()}", scopes, "session", f"user:{user.pk}", user, role)


def is_cross_site(request: HttpRequest) -> bool:
    """Whether a browser says that another site's page made this request.

    A missing header says nothing (curl and old browsers). Following a link to one of our
    pages is not an attack: such a navigation is a safe method that no page can read.
    """
    origin = request.headers.get("Origin")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return False
    # Behind a proxy that ends TLS the scheme seen here is not the browser's: either is ours.
    own = {f"{scheme}://{request.get_host()}".lower() for scheme in ("http", "https")}
    if origin is not None and origin.lower() not in own:
        return True
    if request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}:
        return False
    followed_link = (
        request.method in SAFE_METHODS
        and request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
    )
    return not followed_link


def client_address(request: HttpRequest) -> tuple[Address | None, bool]:
    """The client's address, and whether it is certain enough to open the API to it.

    Behind trusted proxies it is the right-most address of X-Forwarded-For that is none of
    them. A request that was forwarded by anyone else is never certain: a proxy on this host
    would otherwise open the service to the world.
    """
    peer = parse_address(request.META.get("REMOTE_ADDR", ""))
    if peer is None or not in_networks(peer, settings.TRUSTED_PROXIES):
        forwarded = any(f"HTTP_{name}" in request.META for name in FORWARDING_HEADERS)
        return peer, not forwarded
    for word in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        address = parse_address(word.strip())
        if address is None:
            break
        if not in_networks(address, settings.TRUSTED_PROXIES):
            return address, True
    return peer, False


def parse_address(text: str) -> Address | None:
    """An address, IPv4-mapped IPv6 as IPv4; None if it is none (a Unix socket's peer)."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def throttle_address(address: Address | None) -> str:
    """What an address is counted as: one IPv6 customer has a whole /64."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address.packed, 64), strict=False))
    return str(address)


class AccessMiddleware:
    """Sets ``request.access``; must stand after AuthenticationMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.access = SimpleLazyObject(lambda: resolve(request))  # type: ignore[attr-defined]
        return self.get_response(request)

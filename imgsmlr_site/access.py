"""Identifies the sender of a request by key, session or open network, and their permissions.

``AccessMiddleware`` sets ``request.access``. The apps use only that attribute and never import this
module. The database is queried when ``request.access`` is first read.
"""

from __future__ import annotations

import ipaddress
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, Literal, cast

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from gallery.net.addresses import Address, in_networks
from gallery.shared.access import Access as Caller
from gallery.shared.errors import UserError
from imgsmlr_site.accounts import second_factor
from imgsmlr_site.models import KEY_START, ApiKey, Scope, digest
from imgsmlr_site.throttling import Throttled, owe, spend
from moderation.access.permissions import Actor, Role, actor_of, can

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
"""The scopes of a session with this role, or of such a user's key. Services check the role too."""
UNBOUND_SCOPES = ALL_SCOPES - {Scope.MODERATE.value}
"""The scopes that a key without a user may have. Decisions are personal, so they need a user."""

THROTTLE_PERIOD = 60.0

KEY_IN_SESSION = "api_key"
"""In a session without a user: the id of the key whose permissions it has (``local_access``)."""

FORWARDING_HEADERS = frozenset(
    {
        *("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP"),
        *("HTTP_X_CLUSTER_CLIENT_IP", "HTTP_TRUE_CLIENT_IP", "HTTP_CF_CONNECTING_IP"),
    }
)
"""Headers that proxies add, besides all that begin with X-Forwarded-."""
LOOPBACK_NAMES = {"localhost", "127.0.0.1", "[::1]"}
"""What programs on this machine call it."""


class AccessRefused(UserError):
    code = "access_refused"


class NotAuthenticated(AccessRefused):
    """The request has no valid key or session."""

    code = "not_authenticated"


class Forbidden(AccessRefused):
    """The caller may not do this."""

    code = "forbidden"


CHALLENGE = 'Bearer realm="api"'
"""The WWW-Authenticate header of a 401. With ``Bearer``, browsers show no password dialog."""
HOW_TO_ASK = "Send an API key as 'Authorization: Bearer <key>' or 'X-API-Key: <key>', or log in."


@dataclass(frozen=True, slots=True)
class Access:
    """The permissions of one request.

    ``actor`` is written into rows and logs (``key:loader``, ``user:admin``, ``open``, ``none``).
    Throttles count by ``client``. ``role`` is the current role of the user. ``refusal`` says why
    the request has no scopes, if there is a reason to give. ``cookie``: a browser sent the proof by
    itself, so writes need a CSRF token.
    """

    actor: str
    scopes: frozenset[str]
    via: Literal["key", "session", "open", "none"]
    client: str
    user: AbstractUser | None = None
    role: Role = Role.NOBODY
    refusal: AccessRefused | None = None
    cookie: bool = False

    @property
    def superuser(self) -> bool:
        """Whether a superuser is logged in. A superuser's key does not count."""
        is_superuser = self.user is not None and self.user.is_superuser
        return self.via == "session" and is_superuser and self.role == Role.ADMIN

    @property
    def probes_as(self) -> str:
        """Return ``client``, or "" for callers who may see matches."""
        return "" if can(Actor.caller(cast(Caller, self)), "see matches") else self.client

    def allows(self, scope: str) -> bool:
        return scope in self.scopes

    def may_change(self, added_by: str) -> bool:
        """Whether the caller may change and delete the item: their own, or any item for a lead.

        A client of an open network may change all items, because the network is the operator's own.
        """
        return added_by == self.actor or self.role >= Role.LEAD or self.via == "open"

    def require(self, scope: str) -> None:
        """Raise ``NotAuthenticated`` or ``Forbidden`` unless the scope is held."""
        if scope not in self.scopes:
            raise self.missing(f"the scope '{scope}'")

    def charge(self, cost: float) -> None:
        """Take ``cost`` points of the client's ``THROTTLE_POINTS`` per minute. Raise ``Throttled``.

        Call it outside transactions (see ``throttling.spend``). ``throttling.CostThrottle`` charges
        REST framework's views.
        """
        if wait := spend(self.client, cost, settings.THROTTLE_POINTS, THROTTLE_PERIOD):
            raise Throttled(wait)

    def limit(self, what: str, most: int, period: float) -> None:
        """Let the client do something ``most`` times in ``period`` seconds. Raise ``Throttled``."""
        if wait := spend(f"{what}:{self.client}", 1, most, period):
            raise Throttled(wait)

    def owe(self, cost: float) -> None:
        """Take points for what was done already, even if the client has none left."""
        owe(self.client, cost, settings.THROTTLE_POINTS, THROTTLE_PERIOD)

    def missing(self, what: str) -> AccessRefused:
        if self.refusal:
            return self.refusal
        if self.via == "none":
            return NotAuthenticated(f"This needs {what}. {HOW_TO_ASK}")
        return Forbidden(f"This needs {what}, which {self.actor} does not have.")


def resolve(request: HttpRequest) -> Access:
    """Return the access of a request. If a key was sent, only the key counts, even if it is wrong.

    It makes one query for a key, three for a key with a user or a session, two for a session with a
    key, otherwise none. No result is cached between requests.
    """
    address, direct = client_address(request)
    client = f"ip:{throttle_address(address)}"
    text = presented_key(request)
    if text is not None:
        return key_access(text, client)
    opened = _opened_to(address) if direct and address is not None else frozenset()
    user = request.user
    if user.is_authenticated and user.is_active:
        access = session_access(user, actor_of(request).role, opened)
        if second_factor.is_missing(request.session, user, access.role):
            return _refused(
                access,
                "Your role needs a second factor: open /admin/ to set it up or to enter a code.",
                "second_factor_required",
            )
    elif (by_key := _access_of_session_key(request, client)) is not None:
        access = by_key
    elif opened:
        access = Access("open", opened, "open", client)
    else:
        return Access("none", frozenset(), "none", client)
    guarded = access.via == "open" or request.method not in SAFE_METHODS
    if guarded and is_cross_site(request):
        return _refused(
            access,
            "A page of another site may not use this service on your behalf. Use the service's "
            "own pages, send an API key, or list the site in CSRF_TRUSTED_ORIGINS.",
            "cross_site",
        )
    return access


def _opened_to(address: Address) -> frozenset[str]:
    """Return the scopes that a client at this address has without a key."""
    opened = OPEN_SCOPES if in_networks(address, settings.OPEN_API) else frozenset()
    return opened | {Scope.HMA.value} if in_networks(address, settings.HMA_OPEN) else opened


def _refused(access: Access, why: str, code: str) -> Access:
    refusal = Forbidden(why, code=code)
    return Access(access.actor, frozenset(), "none", access.client, refusal=refusal)


def may_send_much(environ: dict[str, Any]) -> bool:
    """Return whether to read a large body of a WSGI request: its sender has a scope, or sends a
    notice with a picture, which anybody may."""
    request = WSGIRequest({**environ, "wsgi.input": BytesIO(), "CONTENT_LENGTH": "0"})
    for middleware in (SessionMiddleware, AuthenticationMiddleware):
        middleware(lambda _: HttpResponse()).process_request(request)
    if settings.NOTICE_FORM and request.path == reverse("notice-form"):
        return True
    try:
        return bool(resolve(request).scopes)
    except DisallowedHost:
        return False


def presented_key(request: HttpRequest) -> str | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic" and (password := _password(value)).startswith(KEY_START):
        return password
    return request.headers.get("X-API-Key", request.headers.get("X-Trace-Key"))


def _password(credentials: str) -> str:
    """Return the password of HTTP Basic, which programs that know only a URL send.

    Only a key is meant for us: any other password may be for a proxy in front.
    """
    try:
        return b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def key_access(text: str, client: str) -> Access:
    key = ApiKey.objects.filter(sha256=digest(text)).first()
    if key is not None and not (ended := key.ended(timezone.now())):
        return _access_of(key)
    problem = "This API key is not known here: check that it was copied whole."
    if key is not None:
        problem = f"The API key {key.name} is {ended}: ask an administrator for a new one."
    refusal = NotAuthenticated(problem, code="invalid_key")
    return Access("none", frozenset(), "none", client, refusal=refusal)


def _access_of(key: ApiKey) -> Access:
    key.touch(timezone.now())
    role = Role.NOBODY if key.user is None else Role.of(key.user)
    most = UNBOUND_SCOPES if key.user is None else ROLE_SCOPES[role]
    scopes = most.intersection(key.scopes)
    return Access(f"key:{key.name}", scopes, "key", f"key:{key.pk}", key.user, role)


def _access_of_session_key(request: HttpRequest, client: str) -> Access | None:
    """Return the access of a browser that opened a link of ``local_access``; None for others."""
    number = request.session.get(KEY_IN_SESSION)
    key = number and ApiKey.objects.filter(pk=number).first()
    if not key or key.ended(timezone.now()):
        return None
    return replace(_access_of(key), cookie=True)


def session_access(user: AbstractUser, role: Role, opened: frozenset[str]) -> Access:
    """Return the access of a logged-in user: at least that of an open network's client."""
    scopes = ROLE_SCOPES[role] | opened
    name = user.get_username()
    return Access(f"user:{name}", scopes, "session", f"user:{user.pk}", user, role, cookie=True)


def is_cross_site(request: HttpRequest) -> bool:
    """Whether the browser's headers say that a page of another site made this request.

    If the headers are missing (curl, old browsers), the answer is no. Following a link to one of
    our pages is allowed: it is a safe method, and the other page cannot read the answer.
    """
    origin = request.headers.get("Origin")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return False
    # Behind a proxy that ends TLS, the scheme here is not the browser's, so accept both.
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
    """Return the client's address, and whether it is certain enough to open the API to it.

    Behind trusted proxies it is the right-most address of X-Forwarded-For that is not a trusted
    proxy. If any other proxy forwarded the request, it is never certain: otherwise a proxy on this
    host would open the service to the world. (One that hides itself cannot be told from a program
    on this host. So nothing is open unless the operator sets OPEN_API.)
    """
    peer = parse_address(request.META.get("REMOTE_ADDR", ""))
    if peer is None or not in_networks(peer, settings.TRUSTED_PROXIES):
        outsider = peer is not None and peer.is_loopback and not _names_us(request)
        return peer, not (was_forwarded(request) or outsider)
    for word in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        address = parse_address(word.strip())
        if address is None:
            break
        if not in_networks(address, settings.TRUSTED_PROXIES):
            return address, True
    return peer, False


def was_forwarded(request: HttpRequest) -> bool:
    return any(
        name in FORWARDING_HEADERS or name.startswith("HTTP_X_FORWARDED_") for name in request.META
    )


def _names_us(request: HttpRequest) -> bool:
    """Whether the Host header is a name that a program on this machine uses."""
    return split_domain_port(request.get_host())[0] in LOOPBACK_NAMES


def parse_address(text: str) -> Address | None:
    """Parse an address (IPv4-mapped IPv6 as IPv4). Return None for other text (a Unix socket)."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def throttle_address(address: Address | None) -> str:
    """Return the address, or its /64 for IPv6, because one customer has a whole /64."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address.packed, 64), strict=False))
    return str(address)


class AccessMiddleware:
    """Sets ``request.access``. It must come after AuthenticationMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.access = SimpleLazyObject(lambda: resolve(request))  # type: ignore[attr-defined]
        return self.get_response(request)

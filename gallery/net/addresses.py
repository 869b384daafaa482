"""Which IP addresses are on the public Internet.

``is_global`` of the standard library accepts multicast, 6to4, NAT64 and more, so three rules
must agree: the standard library, the ranges of Microsoft's AntiSSRF package, and for IPv6 the
one block of global unicast addresses (RFC 4291), which excludes addresses that wrap an IPv4
address (mapped, compatible, translated).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_network,
)
from typing import Final

from AntiSSRF import IPAddressRanges

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_IPV6_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_RANGES: Final = [ip_network(text) for text in IPAddressRanges.recommended_latest]
_RESERVED_4: Final = tuple(
    collapse_addresses(net for net in _RANGES if isinstance(net, IPv4Network))
)
_RESERVED_6: Final = tuple(
    collapse_addresses(net for net in _RANGES if isinstance(net, IPv6Network))
)


def is_public(address: Address) -> bool:
    """Return whether it is a global unicast address outside all special ranges."""
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in net for net in _RESERVED_4)
    return address in _IPV6_GLOBAL_UNICAST and not any(address in net for net in _RESERVED_6)


def in_networks(address: Address, networks: Iterable[Network]) -> bool:
    """10.0.0.0/8 does not contain ::ffff:10.0.0.1."""
    return any(address in net for net in networks)

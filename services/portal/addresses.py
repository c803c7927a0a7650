"""What the address of a caller counts with, where something is limited."""

import re
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple

_WITH_PORT: Final = re.compile(r"([0-9.]+)(?::\d+)?|\[([^\]]+)\](?::\d+)?")


class Networks(NamedTuple):
    """`near` is what one household has to itself, `wide` what one customer may have."""

    near: str
    wide: str


def networks(address: str) -> Networks:
    """An IPv6 address counts with its /64 and its /48; an IPv4 address with itself, also where it is written as IPv6.

    Some proxies add a port. What is no address counts as `unknown`.
    """
    found = _WITH_PORT.fullmatch(address)
    try:
        held = ip_address(found[1] or found[2] if found else address)
    except ValueError:
        return Networks("unknown", "unknown")
    if isinstance(held, IPv6Address) and held.ipv4_mapped:
        held = held.ipv4_mapped
    if held.version == 4:
        return Networks(str(held), str(held))
    bits = int(held)
    return Networks(str(IPv6Network((bits >> 64 << 64, 64))), str(IPv6Network((bits >> 80 << 80, 48))))

"""Whose address counts: behind proxies, with ports, and as it is written."""

import pytest
from fastapi import Request

from services.portal.addresses import networks
from services.portal.web import Door


@pytest.mark.parametrize(
    ("address", "near", "wide"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:5678", "203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:443", "203.0.113.7", "203.0.113.7"),
        ("2001:db8:7:1:2:3:4:5", "2001:db8:7:1::/64", "2001:db8:7::/48"),
        ("[2001:db8:7:1::9]:5678", "2001:db8:7:1::/64", "2001:db8:7::/48"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
        ("203.0.113.7, 1", "unknown", "unknown"),
        ("", "unknown", "unknown"),
    ],
)
def test_what_an_address_counts_with(address: str, near: str, wide: str) -> None:
    assert networks(address) == (near, wide)


@pytest.mark.parametrize(
    ("proxies", "lines", "counted"),
    [
        (0, ["198.51.100.1"], "192.0.2.1"),
        (1, ["198.51.100.1"], "198.51.100.1"),
        (1, ["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
        (2, ["203.0.113.9, 203.0.113.8", "198.51.100.1, 10.0.0.1"], "198.51.100.1"),
        (2, ["198.51.100.1"], "192.0.2.1"),
        (1, [], "192.0.2.1"),
    ],
)
def test_only_what_our_proxies_added_counts(proxies: int, lines: list[str], counted: str) -> None:
    headers = [(b"x-forwarded-for", line.encode()) for line in lines]
    request = Request({"type": "http", "headers": headers, "client": ("192.0.2.1", 40000)})
    assert Door(secure=True, proxies=proxies).address(request) == counted

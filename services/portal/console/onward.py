"""Addresses that lead on to a page of the console; no NIK ever stands in one."""

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

HOME: Final = "/console"
SIGN_IN: Final = "/console/sign-in"
ONWARD_MAX: Final = 1_000
_NIK: Final = re.compile(r"(?<![\w-])[0-9](?:[\s.-]?[0-9]){15}(?![\w-])").search
_GO_ON: Final = "go_on"
"""Where a list goes on: a time to the microsecond, which has 16 digits too."""


def holds_nik(text: str) -> bool:
    """Whether there is something like a NIK in what somebody typed: 16 digits, however they are written."""
    return _NIK(text) is not None


def query_holds_nik(query: str) -> bool:
    """Of the part of an address behind `?`."""
    try:
        asked = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return True  # nothing that these pages ask for, and nobody looks further
    return any(holds_nik(name) or (name != _GO_ON and holds_nik(text)) for name, text in asked)


def onward(text: str | None) -> str:
    """A page of the console to go on to, and never another address, nor one that no page has, nor one with a NIK."""
    try:
        parts = urlsplit(text if text and len(text) <= ONWARD_MAX and text.isprintable() else "")
    except ValueError:
        return HOME
    right = not parts.scheme and not parts.netloc and (parts.path == HOME or parts.path.startswith(HOME + "/"))
    if not right or "\\" in parts.path or parts.path.startswith((SIGN_IN, "/console/signed")) or holds_nik(parts.path):
        return HOME
    return parts.path + (f"?{parts.query}" if parts.query and not query_holds_nik(parts.query) else "")

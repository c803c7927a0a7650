"""Ids of people and families: keyed hashes, the same everywhere and nothing to read from.

A NIK has few unknown digits and all can be tried in minutes, so whoever holds the key can reverse these ids. It lies
with the registry and one look-up process only, never rotates (ids would change) and is in no backup.
"""

import hmac
import re

_SIXTEEN_DIGITS = re.compile(r"[0-9]{16}").fullmatch


def recipient_id(key: bytes, nik: str) -> str:
    """`r-` and 32 hex digits: the first 16 bytes of HMAC-SHA-256 over the 16 digits of the NIK.

    Raises ValueError, without the value, for anything but 16 digits.
    """
    return "r-" + _keyed_hash(key, nik, "NIK")


def family_id(key: bytes, kk: str) -> str:
    """`f-` and 32 hex digits, made like a recipient's id but with another key. Raises ValueError likewise."""
    return "f-" + _keyed_hash(key, kk, "No. KK")


def _keyed_hash(key: bytes, digits: str, what: str) -> str:
    if not _SIXTEEN_DIGITS(digits):
        raise ValueError(f"a {what} has 16 digits")
    return hmac.digest(key, digits.encode("ascii"), "sha256")[:16].hex()

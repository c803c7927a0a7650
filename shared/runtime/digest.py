"""The hash chain over everything a service wrote to one topic and partition, and the form its messages have there.

An auditor recomputes it from the topic alone; `docs/reference/audit.md` states it for other languages.
"""

from hashlib import sha256
from struct import Struct, pack
from typing import Final, NamedTuple

from shared.events.envelope import CONTENT_TYPE
from shared.events.topics import SEQUENCE_HEADER as SEQUENCE_HEADER

START = b""
CONTENT_TYPE_HEADER = ("content-type", CONTENT_TYPE.encode())


class Record(NamedTuple):
    """One message as it goes out, but for its sequence."""

    key: bytes
    value: bytes


def headers(sequence: int) -> list[tuple[str, bytes]]:
    return [CONTENT_TYPE_HEADER, (SEQUENCE_HEADER, b"%d" % sequence)]


def extend(digest: bytes, sequence: int, key: bytes, message_headers: list[tuple[str, bytes]], value: bytes) -> bytes:
    """SHA-256 of the digest before, then sequence, key, headers and value, each with its length in front."""
    parts = [b"%d" % sequence, key]
    for name, content in message_headers:
        parts += (name.encode(), content)
    parts.append(value)
    return sha256(digest + b"".join([pack(">I", len(part)) + part for part in parts])).digest()


def extend_own(digest: bytes, sequence: int, key: bytes, value: bytes) -> bytes:
    """`extend` with the headers that every message of ours has, in half the time."""
    number = b"%d" % sequence
    framed = _length(len(number)) + number
    parts = (digest, framed, _length(len(key)), key, _OWN_HEADERS, framed, _length(len(value)), value)
    return sha256(b"".join(parts)).digest()


_length: Final = Struct(">I").pack
_OWN_HEADERS: Final = b"".join(
    _length(len(part)) + part
    for part in (CONTENT_TYPE_HEADER[0].encode(), CONTENT_TYPE_HEADER[1], SEQUENCE_HEADER.encode())
)
"""All of the headers' parts but the last, which is the sequence once more."""

"""How the events of one batch and partition lie in one outbox row: lengths, keys, values."""

from collections.abc import Iterable, Iterator
from struct import Struct

from shared.runtime.digest import Record

_LENGTHS = Struct(">II")


def pack(records: Iterable[Record]) -> bytes:
    return b"".join([_LENGTHS.pack(len(key), len(value)) + key + value for key, value in records])


def unpack(payload: bytes) -> Iterator[Record]:
    at = 0
    while at < len(payload):
        key_bytes, value_bytes = _LENGTHS.unpack_from(payload, at)
        middle = at + _LENGTHS.size + key_bytes
        yield Record(payload[middle - key_bytes : middle], payload[middle : middle + value_bytes])
        at = middle + value_bytes

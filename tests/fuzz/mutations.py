"""Ways to spoil one JSON message; each takes a random number generator and a good message."""

import json
import random
from collections.abc import Callable
from typing import Any

NIK, NAME = "7604015708900001", "Rahasia Sangatpribadi"
PERSONAL = (NIK, NAME, "Rahasia", "081234567890")
"""What no log, metric, reason or answer may repeat; junk carries it in the clear as a careless publisher would."""

REQUIRED = ("id", "source", "type", "subject", "time", "data")
WEIRD: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 2**31, 2**63, 2**64, 10**40, -(10**40), 1e308, "", " ", "x" * 70_000, [], {}, [[]],
    [None] * 9, {"a": {"a": {}}},
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-23:59", "2026-13-45T99:99:99Z", 1e30, -1e30,
    "\u202e\u0301\U0001f4a9", "'; DROP TABLE outbox; --", "${jndi:ldap://x}", "%s%n", "../../etc", NIK, int(NIK), NAME,
    {"name": NAME, "nik": NIK}, "NaN", "2026-11-24T07:00:00", "r-" + "f" * 32,
)  # fmt: skip
NOT_OBJECTS = (b"[]", b"1", b'"%s"' % NIK.encode(), b"null", b"true", b"NaN", b"1e999", b"{}", b"[[[]]]", b'{"type":1}')

Spoil = Callable[[random.Random, bytes], bytes]


def noise(chance: random.Random, _: bytes) -> bytes:
    return chance.randbytes(chance.choice((1, 7, 100, 4_000)))


def cut(chance: random.Random, good: bytes) -> bytes:
    return good[: chance.randrange(1, len(good))]


def flipped(chance: random.Random, good: bytes) -> bytes:
    spoilt = bytearray(good)
    for _ in range(chance.randint(1, 8)):
        spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def not_an_object(chance: random.Random, _: bytes) -> bytes:
    return chance.choice(NOT_OBJECTS)


def dropped(chance: random.Random, good: bytes) -> bytes:
    event = json.loads(good)
    del event[chance.choice(REQUIRED)]
    return json.dumps(event).encode()


def retyped(chance: random.Random, good: bytes) -> bytes:
    """Any field but those that are told again in answers: what a source calls its submission is its own affair."""
    event = json.loads(good)
    part = chance.choice((event, event["data"]))
    field = chance.choice([name for name in part if name not in ("id", "subject", "source")])
    part[field] = chance.choice(WEIRD)
    return json.dumps(event).encode()


def doubled(chance: random.Random, good: bytes) -> bytes:
    field = chance.choice((*REQUIRED, "specversion")).encode()
    return good[:-1] + b',"%b":%b}' % (field, chance.choice((b"1", b"null", b'"x"', b"{}")))


def huge_number(chance: random.Random, good: bytes) -> bytes:
    digits = b"9" * chance.choice((20, 400, 5_000, 60_000))
    return b'{"data":{"revision":%b},' % digits + good[1:] if chance.random() < 0.5 else _with(good, b"time", digits)


def nested(chance: random.Random, good: bytes) -> bytes:
    depth = chance.choice((300, 10_000))
    opening, closing = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    deep = opening * depth + b"1" + closing * depth
    return deep if chance.random() < 0.3 else _with(good, b"extra" if chance.random() < 0.5 else b"data", deep)


def wrong_encoding(chance: random.Random, good: bytes) -> bytes:
    text = good.decode()
    ways = (
        lambda: text.encode("utf-16"),
        lambda: text.encode("utf-32-be"),
        lambda: text.replace('"id"', '"id\xe9"').encode("latin-1"),
        lambda: good.replace(b'":"', b'":"\xff\xfe', 1),
        lambda: good.replace(b'":"', b'":"\xed\xa0\x80', 1),
    )
    return chance.choice(ways)()


def surrogate(chance: random.Random, good: bytes) -> bytes:
    return good.replace(b'":"', b'":"' + chance.choice((b"\\ud800", b"\\udfff\\ud800", b"\\uD83D")), 1)


def nul(chance: random.Random, good: bytes) -> bytes:
    """In any text of the message, as JSON writes it or raw."""
    places = [at for at in range(len(good)) if good.startswith(b'":"', at)]
    at = chance.choice(places) + 3
    return good[:at] + chance.choice((b"\\u0000", b"a\\u0000b", b"\x00")) + good[at:]


def other_type(chance: random.Random, good: bytes) -> bytes:
    event = json.loads(good)
    event["type"] = chance.choice(("cycle.approved", "x", "", "payout.queued", NAME, "dead-letter"))
    return json.dumps(event).encode()


def other_version(chance: random.Random, good: bytes) -> bytes:
    event = json.loads(good)
    event["specversion"] = chance.choice(("0.3", "1", 1.0, None, "2.0"))
    return json.dumps(event).encode()


def personal(chance: random.Random, good: bytes) -> bytes:
    """A publisher that seals nothing."""
    event = json.loads(good)
    event["data"] = {"nik": NIK, "name": NAME, "phone": "081234567890", "revision": NIK, "sealed": NAME}
    return json.dumps(event).encode()


def oversized(chance: random.Random, good: bytes) -> bytes:
    """Up to just below what the topic takes."""
    size = chance.choice((300_000, 1_000_000, 2_000_000))
    return _with(good, chance.choice((b"extra", b"correlationid", b"subject")), b'"%b"' % (b"x" * size))


DEAD: dict[str, Spoil] = {
    "noise": noise, "cut": cut, "not an object": not_an_object, "dropped": dropped, "other type": other_type,
    "other version": other_version, "NUL": nul, "surrogate": surrogate, "wrong encoding": wrong_encoding,
    "personal": personal,
}  # fmt: skip
"""What nobody can take for an event of the contract: must end in the dead letters."""

ANY: dict[str, Spoil] = {
    "flipped": flipped, "retyped": retyped, "doubled": doubled, "huge number": huge_number, "nested": nested,
}  # fmt: skip
"""What may by chance still be an event: processed, rejected or dead-lettered."""


def _with(good: bytes, field: bytes, value: bytes) -> bytes:
    """The field again, at the end: there it counts."""
    return good[:-1] + b',"%b":%b}' % (field, value)

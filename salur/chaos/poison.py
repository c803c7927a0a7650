"""Messages on the intake topics that nobody can process, and what must have become of each of them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, NamedTuple

import orjson

from salur.intake.upstream import Upstream
from shared.events import FlagSubmitted, RegistrationSubmitted
from shared.events.topics import intake_topic
from shared.privacy.hpke import seal_submission, to_base64url

PREFIX: Final = "poison-"
"""What the key of each of these messages begins with, and the submission's id where it has one."""
LARGE_BYTES: Final = 300_000
"""Above what a dead letter carries along: the body stays where it is."""
AT: Final = datetime(2026, 11, 1, tzinfo=UTC)


class Poison(NamedTuple):
    """One message. `rejected` is the problem's code where the registry answers it; None: it becomes a dead letter."""

    name: str
    topic: str
    key: bytes
    value: bytes
    rejected: str | None


def make(chance: Random, number: int, upstream: Upstream) -> Poison:
    """The poison of this number, of a kind drawn from `chance`."""
    name = chance.choice(sorted(_MADE))
    model = chance.choice((RegistrationSubmitted, FlagSubmitted))
    key = f"{PREFIX}{number}"
    value = _MADE[name](chance, key, model.TYPE, upstream)
    return Poison(name, intake_topic(model, upstream.source), key.encode(), value, _REJECTED.get(name))


def _event(key: str, event_type: str, source: str, sealed: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": key,
        "source": source,
        "type": event_type,
        "subject": key,
        "time": AT.isoformat(),
        "datacontenttype": "application/json",
        "data": {"sealed": sealed},
    }


def _well_sealed(upstream: Upstream, event_id: str) -> dict[str, str]:
    return seal_submission(upstream.keys, b"{}", source=upstream.source, event_id=event_id).model_dump(mode="json")


def _bytes(chance: Random, key: str, event_type: str, upstream: Upstream) -> bytes:
    return b"\xff\x00" + chance.randbytes(chance.randint(1, 400))


def _half(chance: Random, key: str, event_type: str, upstream: Upstream) -> bytes:
    whole = orjson.dumps(_event(key, event_type, upstream.source, _well_sealed(upstream, key)))
    return whole[: chance.randint(1, len(whole) - 1)]


def _list(chance: Random, key: str, event_type: str, upstream: Upstream) -> bytes:
    return orjson.dumps([key, [event_type] * chance.randint(0, 50)])


def _large(chance: Random, key: str, event_type: str, upstream: Upstream) -> bytes:
    return orjson.dumps({"id": key, "filling": "x" * LARGE_BYTES})


def _wrong_version(chance: Random, key: str, event_type: str, upstream: Upstream) -> bytes:
    event = _event(key, event_type, upstream.source, _well_sealed(upstream, key))
    return orjson.dumps(event | {"specversion": "0.3"})


def _wrong_type(chance: Random, key: str, event_type: str, upstream: Upstream) -> bytes:
    event = _event(key, "payout.confirmed", upstream.source, _well_sealed(upstream, key))
    return orjson.dumps(event)


def _wrong_field(chance: Random, key: str, event_type: str, upstream: Upstream) -> bytes:
    field, content = chance.choice((("time", "yesterday"), ("id", 7), ("data", None), ("subject", ""), ("source", [])))
    event = _event(key, event_type, upstream.source, _well_sealed(upstream, key))
    return orjson.dumps(event | {field: content})


def _nul(chance: Random, key: str, event_type: str, upstream: Upstream) -> bytes:
    event = _event(key, event_type, upstream.source, _well_sealed(upstream, key))
    return orjson.dumps(event | {"id": f"{key}\0"})


def _broken_seal(chance: Random, key: str, event_type: str, upstream: Upstream) -> bytes:
    sealed = _well_sealed(upstream, key) | {"ciphertext": to_base64url(chance.randbytes(chance.randint(17, 200)))}
    return orjson.dumps(_event(key, event_type, upstream.source, sealed))


def _others_seal(chance: Random, key: str, event_type: str, upstream: Upstream) -> bytes:
    return orjson.dumps(_event(key, event_type, upstream.source, _well_sealed(upstream, f"{key}-other")))


def _others_name(chance: Random, key: str, event_type: str, upstream: Upstream) -> bytes:
    return orjson.dumps(_event(key, event_type, "dukcapil", _well_sealed(upstream, key)))


_MADE: Final[Mapping[str, Callable[[Random, str, str, Upstream], bytes]]] = {
    "bytes": _bytes,
    "half": _half,
    "list": _list,
    "large": _large,
    "wrong_version": _wrong_version,
    "wrong_type": _wrong_type,
    "wrong_field": _wrong_field,
    "nul": _nul,
    "broken_seal": _broken_seal,
    "others_seal": _others_seal,
    "others_name": _others_name,
}
_REJECTED: Final = {"broken_seal": "cannot_open", "others_seal": "cannot_open", "others_name": "source_mismatch"}

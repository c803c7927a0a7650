"""A seeded stream of bad messages for one topic, made from good ones of it."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from shared.events.codec import encode
from shared.events.envelope import envelope
from shared.events.registrations import FlagSubmitted, RegistrationSubmitted
from shared.privacy import Keyring, seal_submission
from tests.fuzz.mutations import ANY, DEAD, NAME, NIK, PERSONAL, oversized
from tests.integration.registry_desk import RIGHT

Fate = Literal["good", "dead", "rejected", "any"]
"""What must become of a message; `any`: processed, rejected or dead-lettered, as it happens to read."""
Headers = list[tuple[str, bytes | None]]


class Made(NamedTuple):
    """One message. On a topic of the flow the writer adds the right `sequence`, unless `headers` hold one."""

    kind: str
    fate: Fate
    key: bytes | None
    value: bytes | None
    headers: Headers


OVERSIZED_EVERY = 400
_KEYS: Sequence[bytes | None] = (None, b"", b"\xff\xfe", NIK.encode(), b"k" * 60_000, b"r-" + b"0" * 32, b"\x00")
_HEADERS: Sequence[Headers] = (
    [],
    [("content-type", b"text/plain")],
    [("content-type", None)],
    [("x", b"1"), ("x", b"2"), ("x", NAME.encode())],
    [("ce_type", b"\xff"), ("traceparent", b"00-zz")],
    [("h" * 3_000, b"v" * 30_000)],
    [(NAME, NIK.encode())],
)
_FOREIGN_SEQUENCES: Sequence[Headers] = (
    [("sequence", b"-1")],
    [("sequence", b"9" * 5_000)],
    [("sequence", b"1"), ("sequence", b"2")],
    [("sequence", None)],
)
"""Only where no sequence is expected: elsewhere they stop the partition, which is another test's matter."""

Special = Callable[[random.Random, int], Made]


@dataclass
class Junkyard:
    """Endless junk for one topic. `good` are values of it; `special` makes what only this topic knows."""

    seed: int
    good: Sequence[bytes]
    sequenced: bool
    special: Special | None = None
    large: bool = True

    def __iter__(self) -> Iterator[Made]:
        chance = random.Random(self.seed)
        dead, maybe = list(DEAD.items()), list(ANY.items())
        number = 0
        while True:
            number += 1
            if self.special and chance.random() < 0.35:
                yield self.special(chance, number)
                continue
            base = chance.choice(self.good)
            if self.large and number % OVERSIZED_EVERY == 0:
                yield self._wrapped(chance, "oversized", "any", oversized(chance, base))
            elif chance.random() < 0.03:
                value = chance.choice((None, b""))
                yield self._wrapped(chance, "empty", "dead", value)
            elif chance.random() < 0.05:
                yield self._wrapped(chance, "only key and headers", "any", base, odd=True)
            elif chance.random() < 0.5:
                kind, spoil = chance.choice(dead)
                yield self._wrapped(chance, kind, "dead", spoil(chance, base))
            else:
                kind, spoil = chance.choice(maybe)
                yield self._wrapped(chance, kind, "any", spoil(chance, base))

    def _wrapped(self, chance: random.Random, kind: str, fate: Fate, value: bytes | None, odd: bool = False) -> Made:
        odd = odd or chance.random() < 0.2
        headers = list(chance.choice(_HEADERS)) if odd else []
        if odd and not self.sequenced:
            headers += chance.choice(_FOREIGN_SEQUENCES)
        return Made(kind, fate, chance.choice(_KEYS) if odd else b"k%d" % chance.randrange(64), value, headers)


def broken_submissions(keyring: Keyring, source: str, model: type[RegistrationSubmitted | FlagSubmitted]) -> Special:
    """HPKE broken in every part of it, and right HPKE around what is no submission."""
    public = keyring.public_keys()
    usual = json.dumps(RIGHT | {"name": NAME}).encode()

    def make(chance: random.Random, number: int) -> Made:
        submission_id = f"broken-{chance.getrandbits(64):x}"
        kind = chance.choice(list(_BREAK))
        plaintext = chance.choice(_CONTENTS) if kind == "content" else usual
        info = {"other source": ("another", submission_id), "other id": (source, "another")}
        of_source, of_id = info.get(kind, (source, submission_id))
        sealed: dict[str, Any] = seal_submission(public, plaintext, source=of_source, event_id=of_id).model_dump()
        fate = _BREAK[kind](chance, sealed)
        event = {
            "specversion": "1.0", "id": submission_id, "source": source, "type": model.TYPE, "subject": submission_id,
            "time": "2026-11-20T08:00:00Z", "data": {"sealed": sealed},
        }  # fmt: skip
        return Made(f"HPKE: {kind}", fate, submission_id.encode(), json.dumps(event).encode(), [])

    return make


def _put(field: str, values: Sequence[Any], fate: Fate) -> Callable[[random.Random, dict[str, Any]], Fate]:
    def put(chance: random.Random, sealed: dict[str, Any]) -> Fate:
        sealed[field] = chance.choice(values)
        return fate

    return put


def _tampered(chance: random.Random, sealed: dict[str, Any]) -> Fate:
    text = sealed["ciphertext"]
    at = chance.randrange(len(text) - 2)
    sealed["ciphertext"] = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
    return "rejected"


def _as_it_is(fate: Fate) -> Callable[[random.Random, dict[str, Any]], Fate]:
    return lambda _chance, _sealed: fate


_BREAK: dict[str, Callable[[random.Random, dict[str, Any]], Fate]] = {
    "unknown key": _put("key_id", ("sub-zzzzzzzz", "sub-aaaaaaaa"), "rejected"),
    "no key id": _put("key_id", ("", "x", NIK, 5, None, "sub-ABC"), "dead"),
    "enc of another length": _put("enc", ("AAAA", "A" * 44, "A" * 42), "rejected"),
    "enc of low order": _put("enc", ("A" * 43, "AQ" + "A" * 41), "rejected"),
    "enc no base64": _put("enc", ("!!", "", None, 7, "A" * 99), "dead"),
    "ciphertext of another": _put("ciphertext", ("B" * 400, "A", "AAAA", "A" * 80_000), "rejected"),
    "ciphertext no base64": _put("ciphertext", ("", "+/", NAME, None, {}, "A" * 200_000), "dead"),
    "tampered": _tampered,
    "other source": _as_it_is("rejected"),
    "other id": _as_it_is("rejected"),
    "content": _as_it_is("any"),
}

_CONTENTS: Sequence[bytes] = (
    b"", b"\x00", b"null", b"[]", b"1", b"[" * 10_000, b'{"a":' * 10_000, b"\xff\xfe" * 100, b'{"nik":1e999}', b"{}",
    b'{"nik":' + b"9" * 6_000 + b"}", b" " * 65_000, '{"nik":"7604015708900001"}'.encode("utf-16"),
    *(
        json.dumps(RIGHT | change).encode()
        for change in (
            {"name": "\x00"}, {"name": NAME, "nik": int(NIK)}, {"name": "\ud800"}, {"name": "x" * 60_000},
            {"nik": None},            {"birth_date": "0000-00-00"}, {"birth_date": "9999-12-31"}, {"birth_date": 1e30},
            {"income_idr": 10**400},
            {"income_idr": -1}, {"income_idr": 1e300}, {"members": [{}] * 9_000}, {"members": {"a": NAME}},
            {"decile": 2**70},            {"decile": "2"}, {"account": [NIK]},
            {"account": {"bank": "\x00", "number": "1", "holder": NAME}},
            {"phone": "+" + "9" * 5_000}, {"village": "٧٦٠٤٠١٢٠٠٢"}, {"nik": "٧٦٠٤٠١٥٧٠٨٩٠٠٠٠١"}, {"role": ["head"]},
            {"sex": {"P": 1}}, {"unknown": NAME}, {"kk": "7" * 17},
        )
    ),
)  # fmt: skip


def broken_boxes(good: Sequence[bytes], field: str) -> Special:
    """What a broken service of ours would write: the event is in form, its sealed part does not open."""

    def make(chance: random.Random, number: int) -> Made:
        event = json.loads(chance.choice(good))
        event["subject"] = f"r-{chance.getrandbits(128):032x}"  # sealed for somebody else
        box = event["data"][field]
        tampered = box[:-8] + "AAAAAAAA"
        unknown = f"eli-zzzzzzzz.{box.partition('.')[2]}"
        event["data"][field] = chance.choice((box, tampered, box[:60], box.replace(".", ".A"), unknown))
        return Made("sealed part", "dead", event["subject"].encode(), json.dumps(event).encode(), [])

    return make


def event_of(keyring: Keyring, submission_id: str, source: str, content: dict[str, Any]) -> bytes:
    """A good registration, as its source publishes it."""
    sealed = seal_submission(keyring.public_keys(), json.dumps(content).encode(), source=source, event_id=submission_id)
    return encode(
        envelope(RegistrationSubmitted).model_validate(
            {
                "id": submission_id, "source": source, "type": RegistrationSubmitted.TYPE, "subject": submission_id,
                "time": "2026-11-20T08:00:00Z", "data": {"sealed": sealed.model_dump()},
            }
        )
    )  # fmt: skip


__all__ = ["PERSONAL", "Fate", "Junkyard", "Made", "Special", "broken_submissions", "event_of"]

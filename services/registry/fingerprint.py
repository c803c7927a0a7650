"""Keyed digests of contents: equal contents are recognised, and the database alone tells nobody what they were."""

from contextlib import suppress
from hashlib import blake2b
from typing import Final

import orjson

from shared.privacy import Keyring

DIGEST_BYTES: Final = 16

_NOBODY = "0" * 16
"""No NIK and no family card: what the identity keys make of it is used for nothing else."""


class Fingerprint:
    """Digests of 16 bytes under a key that is derived from the identity keys, which never rotate."""

    __slots__ = ("_key",)

    def __init__(self, keyring: Keyring) -> None:
        """Raises KeyMissing where the identity keys are not held."""
        self._key = f"{keyring.recipient_id(_NOBODY)[2:]}{keyring.family_id(_NOBODY)[2:]}".encode()

    def of_submission(self, kind: str, plaintext: bytes) -> bytes:
        """The same for the same JSON in another spelling (order of fields, spaces)."""
        with suppress(orjson.JSONDecodeError, orjson.JSONEncodeError):  # it reads a depth that it does not write
            plaintext = orjson.dumps(orjson.loads(plaintext), option=orjson.OPT_SORT_KEYS)
        return self.of_parts(kind.encode(), plaintext)

    def of_parts(self, *parts: bytes | None) -> bytes:
        """Of parts each with its length in front; None is none of them."""
        digest = blake2b(key=self._key, digest_size=DIGEST_BYTES)
        for part in parts:
            digest.update(b"-" if part is None else b"%d:%b" % (len(part), part))
        return digest.digest()

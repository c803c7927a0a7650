"""The keys of one process: seals, opens, and makes ids. It follows the key file as that changes."""

import hmac
import os
import time
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared import clock
from shared.errors import CannotOpen, Erased, KeyMissing, SalurError
from shared.privacy import hpke, identity, keyfile
from shared.privacy.keys import Key, KeyFile, KeyFileInvalid, active_key, parse
from shared.privacy.sealed import (
    ID_PREFIXES,
    NONCE_BYTES,
    PURPOSES,
    Purpose,
    Sealed,
    associated_data,
    box_of,
    is_key_id,
    padded,
    text_of,
    unpadded,
)

log = structlog.get_logger()

DEFAULT_PATH: Final = Path(".salur/keys.json")
LOOK_EVERY_S: Final = 1.0
# Of 2**32 values that a key may seal, what one process may take: it warns, then refuses. Processes are few enough
# that together they stay below.
SEALS_WARN: Final = 2**28
SEALS_MAX: Final = 2**30
_FINGERPRINTS: Final = b"salur/fingerprint/v1"
"""What the key of fingerprints is derived with, so that it is never the key that seals."""


class _AesKey:
    """A key ready for use."""

    __slots__ = ("aead", "fingerprints", "id", "prefix", "purpose", "seals")

    def __init__(self, key: Key, purpose: Purpose) -> None:
        self.id = key.id
        self.prefix = key.id + "."
        self.purpose = purpose
        self.aead = _aead(key)
        self.fingerprints = hmac.digest(_bytes(key.secret, f"key {key.id}"), _FINGERPRINTS, "sha256")
        self.seals = 0


class Keyring:
    """Made by `load`. Its repr shows key ids only; it cannot be pickled.

    A change of the key file is noticed within LOOK_EVERY_S, and at once when a value names an unknown key. A file that
    has become unreadable is logged and the keys at hand stay in use.
    """

    def __init__(
        self, file: KeyFile, *, path: Path | None = None, only: Collection[str] | None = None, stamp: Any = None
    ) -> None:
        self._path = path
        self._only = only
        self._stamp = stamp
        self._look_again_at = 0.0
        self._openers: dict[str, _AesKey] = {}
        self._take(file)

    @classmethod
    def load(cls, path: Path | str | None = None, *, only: Collection[str] | None = None) -> "Keyring":
        """From `path`, else the environment: SALUR_KEYS_JSON holds the JSON itself, SALUR_KEYS a path.

        `only` names what this process needs (`identity`, `submission`, purposes): nothing else is kept in memory.
        Raises KeyMissing (no file, or not with all of `only`), KeyFileInvalid.
        """
        text = os.environ.get("SALUR_KEYS_JSON")
        if path is None and text:
            return cls(_narrowed(parse(text, "SALUR_KEYS_JSON"), only), only=only)
        where = Path(path) if path is not None else default_path()
        stamp = _stamp(where)
        return cls(_narrowed(keyfile.read(where), only), path=where, only=only, stamp=stamp)

    def recipient_id(self, nik: str) -> str:
        """Raises KeyMissing where the identity keys are not held, ValueError for what has not 16 digits."""
        if self._nik_key is None:
            raise _not_held("identity")
        return identity.recipient_id(self._nik_key, nik)

    def family_id(self, kk: str) -> str:
        """Raises like `recipient_id`."""
        if self._kk_key is None:
            raise _not_held("identity")
        return identity.family_id(self._kk_key, kk)

    def seal(self, purpose: Purpose, plaintext: bytes, *, recipient: str, schema: str) -> Sealed:
        """Sealed with the key in use now; opens only for the same purpose, recipient and schema.

        Raises KeyMissing where the purpose's key is not held or has sealed SEALS_MAX values.
        """
        if time.monotonic() >= self._look_again_at:
            self._look()
        key = self._active.get(purpose)
        if key is None:
            raise _not_held(purpose)
        key.seals += 1
        if key.seals >= SEALS_WARN:
            _check_limit(key)
        nonce = os.urandom(NONCE_BYTES)
        ciphertext = key.aead.encrypt(nonce, padded(purpose, plaintext), associated_data(purpose, recipient, schema))
        return text_of(key.prefix, nonce + ciphertext)

    def open(self, sealed: str, purpose: Purpose, *, recipient: str, schema: str) -> bytes:
        """The plaintext.

        Raises CannotOpen (damaged, or sealed for another purpose, recipient or schema), Erased (its key was destroyed)
        and KeyMissing (this process has not the key: trouble, not a fault of the value).
        """
        if time.monotonic() >= self._look_again_at:
            self._look()
        key_id, _, text = sealed.partition(".")
        key = self._openers.get(key_id) or self._unknown(key_id, purpose)
        if key.purpose != purpose:
            raise _cannot_open(key_id)
        try:
            box = box_of(text)
            return unpadded(
                key.aead.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], associated_data(purpose, recipient, schema))
            )
        except (InvalidTag, ValueError):
            raise _cannot_open(key_id) from None

    def fingerprint(self, purpose: Purpose, value: bytes) -> str:
        """32 hex digits, the same for the same value for as long as the same key seals for this purpose.

        Who does not hold that key can neither make nor try them, and they say no more once it was destroyed. About
        2 µs. Raises KeyMissing.
        """
        if time.monotonic() >= self._look_again_at:
            self._look()
        key = self._active.get(purpose)
        if key is None:
            raise _not_held(purpose)
        return hmac.digest(key.fingerprints, value, "sha256")[:16].hex()

    def reseal(self, sealed: str, purpose: Purpose, *, recipient: str, schema: str) -> Sealed:
        """The same plaintext under the key in use now; a value that is under it already comes back as it is."""
        if sealed.partition(".")[0] == self.active_id(purpose):
            return sealed if isinstance(sealed, Sealed) else Sealed(sealed)
        plaintext = self.open(sealed, purpose, recipient=recipient, schema=schema)
        return self.seal(purpose, plaintext, recipient=recipient, schema=schema)

    def active_id(self, purpose: Purpose) -> str:
        """Id of the key that seals for this purpose now. Raises KeyMissing."""
        if time.monotonic() >= self._look_again_at:
            self._look()
        key = self._active.get(purpose)
        if key is None:
            raise _not_held(purpose)
        return key.id

    def submission_key(self, key_id: str) -> X25519PrivateKey:
        """For `hpke.open_submission`. Raises CannotOpen for an id that nobody gave out, Erased, KeyMissing."""
        if time.monotonic() >= self._look_again_at:
            self._look()
        if not self._submission:
            raise _not_held("submission")
        key = self._submission.get(key_id)
        if key is None:
            self._look()
            key = self._submission.get(key_id)
        if key is None:
            if key_id in self._erased:
                raise _erased(key_id)
            raise CannotOpen(
                f"the registry has no submission key {key_id}", hint=f"fetch its keys from {hpke.WELL_KNOWN_PATH}"
            )
        return key

    def knows(self, key_id: str) -> bool:
        """Whether a value sealed with this key opens here, or is known to be erased; looks at the key file at once."""
        self._look()
        return key_id in self._openers or key_id in self._erased

    def public_keys(self) -> hpke.PublicKeys:
        """The document for `/.well-known/salur-keys`. Raises KeyMissing where no submission key is held."""
        self._look()
        if self._public is None:
            raise _not_held("submission")
        return self._public

    def seals(self) -> dict[str, int]:
        """How many values each key has sealed in this process, by key id: for metrics."""
        return {key.id: key.seals for key in self._openers.values()}

    def __repr__(self) -> str:
        return f"<Keyring {' '.join(sorted((*self._openers, *self._submission))) or 'without keys'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring is not pickled: it would carry its keys along")

    def _unknown(self, key_id: str, purpose: Purpose) -> _AesKey:
        if not key_id.startswith(ID_PREFIXES[purpose] + "-") or not is_key_id(key_id):
            raise _cannot_open(key_id)  # no key will ever have such an id
        self._look()
        if key := self._openers.get(key_id):
            return key
        if key_id in self._erased:
            raise _erased(key_id)
        raise _not_held(purpose, key_id)

    def _look(self) -> None:
        """Takes the file anew if it has changed, and sees whether a key's time has come."""
        self._look_again_at = time.monotonic() + LOOK_EVERY_S
        if self._path is not None:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._take(_narrowed(keyfile.read(self._path), self._only))
                    log.info("keys reloaded", keys=sorted(self._openers))
                except SalurError as error:
                    log.error("keys not reloaded, the old ones stay in use", error=error.message, hint=error.hint)
        now = clock.now()
        if now >= self._activate_at:
            self._activate(now)

    def _take(self, file: KeyFile) -> None:
        """Raises KeyFileInvalid for a key of wrong length, before anything is changed."""
        known = self._openers
        openers = {
            key.id: known.get(key.id) or _AesKey(key, purpose)
            for purpose in PURPOSES
            for key in file.keys.get(purpose, ())
        }
        submission = {key.id: _private_key(key) for key in file.keys.get("submission", ())}
        ids = file.identity
        nik_key, kk_key = (_bytes(ids.nik, "identity.nik"), _bytes(ids.kk, "identity.kk")) if ids else (None, None)
        self._nik_key, self._kk_key = nik_key, kk_key
        self._erased = frozenset(tombstone.id for tombstone in file.destroyed)
        self._file_keys = file.keys
        self._submission = submission
        self._openers = openers
        self._activate(clock.now())

    def _activate(self, now: datetime) -> None:
        active: dict[str, _AesKey] = {}
        published = None
        for kind, keys in self._file_keys.items():
            key = active_key(keys, now)
            if key and kind == "submission":
                part = hpke.public_part(self._submission[key.id])
                public = hpke.PublicKey(key_id=key.id, public_key=part, not_before=key.not_before)
                published = hpke.PublicKeys(keys=(public,))
            elif key:
                active[kind] = self._openers[key.id]
        self._active = active
        self._public = published
        self._activate_at = min(self._to_come(now), default=datetime.max.replace(tzinfo=now.tzinfo))

    def _to_come(self, now: datetime) -> Iterable[datetime]:
        return (key.not_before for keys in self._file_keys.values() for key in keys if key.not_before > now)


def default_path() -> Path:
    """SALUR_KEYS, else keys.json in SALUR_HOME, else in `.salur`."""
    if named := os.environ.get("SALUR_KEYS"):
        return Path(named)
    home = os.environ.get("SALUR_HOME")
    return Path(home) / DEFAULT_PATH.name if home else DEFAULT_PATH


def _narrowed(file: KeyFile, only: Collection[str] | None) -> KeyFile:
    return file if only is None else file.only(only)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What differs when the file was replaced or written; None while there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _bytes(text: str, field: str) -> bytes:
    try:
        return hpke.from_base64url(text)
    except ValueError:
        raise KeyFileInvalid(f"the key file's {field} is not base64url") from None


def _aead(key: Key) -> AESGCM:
    secret = _bytes(key.secret, f"key {key.id}")
    if len(secret) not in (16, 32):
        raise KeyFileInvalid(f"key {key.id} has {len(secret)} bytes, an AES key has 16 or 32")
    return AESGCM(secret)


def _private_key(key: Key) -> X25519PrivateKey:
    secret = _bytes(key.secret, f"key {key.id}")
    if len(secret) != 32:
        raise KeyFileInvalid(f"key {key.id} has {len(secret)} bytes, an X25519 key has 32")
    return X25519PrivateKey.from_private_bytes(secret)


def _check_limit(key: _AesKey) -> None:
    if key.seals > SEALS_MAX:
        raise KeyMissing(
            f"key {key.id} has sealed {SEALS_MAX} values in this process, which is its limit",
            hint=f"salur keys rotate {key.purpose}",
        )
    if key.seals == SEALS_WARN:
        log.warning("a key nears its limit, rotate it", key_id=key.id, purpose=key.purpose)


def _cannot_open(key_id: str) -> CannotOpen:
    return CannotOpen(f"a value sealed with key {_safe(key_id)} does not open for this purpose, recipient and schema")


def _erased(key_id: str) -> Erased:
    return Erased(f"key {key_id} was destroyed: what it sealed is erased")


def _not_held(kind: str, key_id: str = "") -> KeyMissing:
    which = f"{kind} key {_safe(key_id)}" if key_id else f"{kind} key"
    hint = "give it a key file that does (`salur keys narrow`)"
    return KeyMissing(f"this process holds no {which}", hint=hint, key_id=key_id or None)


def _safe(key_id: str) -> str:
    """A key id may come from a damaged value: only what has the form of one is repeated."""
    return key_id if is_key_id(key_id) else "(not in form)"

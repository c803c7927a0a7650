"""Submissions from outside, sealed for the registry with its public key (HPKE, RFC 9180, base mode, single shot).

Suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM; no associated data;
info = `salur/submission/v1|SOURCE|EVENT_ID` in UTF-8. A source's name holds no `|`, so no two pairs give the same
info, and what was sealed for one event cannot be sent as another. HPKE in base mode says nothing about the sender:
who may write to a source's topic or holds its token does.
"""

import re
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import CannotOpen, SalurError

WELL_KNOWN_PATH: Final = "/.well-known/salur-keys"
SUBMISSION_BYTES_MAX: Final = 64 * 1024

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
_ENC_BYTES: Final = 32
_TAG_BYTES: Final = 16
_CIPHERTEXT_CHARS_MAX: Final = (SUBMISSION_BYTES_MAX + _TAG_BYTES + 2) // 3 * 4
_NAME_OF_SOURCE = re.compile(r"[\x21-\x7b\x7d\x7e]{1,100}").fullmatch
_NAME_OF_EVENT = re.compile(r"[\x21-\x7e]{1,200}").fullmatch

SubmissionKeyId = Annotated[str, Field(pattern=r"^sub-[a-z]{8}$", description="Which of the registry's keys")]
Base64Url = r"^[A-Za-z0-9_-]+={0,2}$"


class SealedSubmission(BaseModel):
    """What a source puts on its intake topic instead of a person's data."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key_id: SubmissionKeyId
    enc: str = Field(
        pattern=Base64Url, max_length=44, repr=False, description="HPKE's encapsulated key, 32 bytes as base64url"
    )
    ciphertext: str = Field(
        pattern=Base64Url,
        max_length=_CIPHERTEXT_CHARS_MAX,
        repr=False,
        description="HPKE's ciphertext with its tag, as base64url",
    )


class PublicKey(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    key_id: SubmissionKeyId
    public_key: str = Field(pattern=Base64Url, max_length=44, description="X25519, 32 bytes as base64url")
    not_before: datetime


class PublicKeys(BaseModel):
    """The registry's public key document. The first key is the one to use."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kem: Literal["DHKEM(X25519, HKDF-SHA256)"] = "DHKEM(X25519, HKDF-SHA256)"
    kdf: Literal["HKDF-SHA256"] = "HKDF-SHA256"
    aead: Literal["AES-128-GCM"] = "AES-128-GCM"
    info: Literal["salur/submission/v1|SOURCE|EVENT_ID"] = "salur/submission/v1|SOURCE|EVENT_ID"
    keys: tuple[PublicKey, ...] = Field(min_length=1)


class HoldsSubmissionKeys(Protocol):
    def submission_key(self, key_id: str) -> X25519PrivateKey: ...


def seal_submission(
    public_key_doc: PublicKeys | Mapping[str, Any], plaintext: bytes, *, source: str, event_id: str
) -> SealedSubmission:
    """Seals one submission for the event `event_id` of `source`; about 0.1 ms.

    Raises SalurError when the document is no public key document, a name cannot stand in the info, or the plaintext
    is over SUBMISSION_BYTES_MAX.
    """
    if len(plaintext) > SUBMISSION_BYTES_MAX:
        raise SalurError(f"a submission has at most {SUBMISSION_BYTES_MAX} bytes, this one {len(plaintext)}")
    key = _document(public_key_doc).keys[0]
    sealed = _SUITE.encrypt(plaintext, _public_key(key.public_key), info=_info(source, event_id))
    return SealedSubmission(
        key_id=key.key_id, enc=to_base64url(sealed[:_ENC_BYTES]), ciphertext=to_base64url(sealed[_ENC_BYTES:])
    )


def open_submission(keyring: HoldsSubmissionKeys, sealed: SealedSubmission, *, source: str, event_id: str) -> bytes:
    """The submission's bytes; about 60 µs. Raises CannotOpen, Erased, and KeyMissing where no submission key is held.

    A key id that nobody knows is CannotOpen here: it comes from outside, and must not look like our own trouble.
    """
    key = keyring.submission_key(sealed.key_id)
    try:
        enc, ciphertext = from_base64url(sealed.enc), from_base64url(sealed.ciphertext)
        info = _info(source, event_id)
        if len(enc) != _ENC_BYTES:
            raise ValueError("enc has not 32 bytes")
        return _SUITE.decrypt(enc + ciphertext, key, info=info)
    except (InvalidTag, ValueError, SalurError):
        raise CannotOpen(
            "the submission does not open",
            hint=f"it must be sealed with key {sealed.key_id} for exactly this source and event id",
        ) from None


def public_part(key: X25519PrivateKey) -> str:
    return to_base64url(key.public_key().public_bytes_raw())


def pad_json(json_object: bytes, block_bytes: int = 512) -> bytes:
    """JSON with spaces behind it up to a multiple of the block, so that its sealed length tells little."""
    return json_object + b" " * (-len(json_object) % block_bytes)


def to_base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """With or without padding. Raises ValueError."""
    try:
        bare = text.rstrip("=")
        return b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except Base64Error:
        raise ValueError("not base64url") from None


def _info(source: str, event_id: str) -> bytes:
    if not _NAME_OF_SOURCE(source):
        raise SalurError("a source's name has 1 to 100 visible ASCII characters and no '|'")
    if not _NAME_OF_EVENT(event_id):
        raise SalurError("an event's id has 1 to 200 visible ASCII characters")
    return b"salur/submission/v1|" + source.encode() + b"|" + event_id.encode()


def _document(doc: PublicKeys | Mapping[str, Any]) -> PublicKeys:
    if isinstance(doc, PublicKeys):
        return doc
    try:
        return PublicKeys.model_validate(doc)
    except ValidationError:
        raise SalurError(
            "this is no public key document of a registry",
            hint=f"take it from the registry's {WELL_KNOWN_PATH} or from `salur keys public`",
        ) from None


@lru_cache(maxsize=64)
def _public_key(text: str) -> X25519PublicKey:
    raw = from_base64url(text)
    if len(raw) != _ENC_BYTES:
        raise SalurError("the public key has not 32 bytes")
    return X25519PublicKey.from_public_bytes(raw)

"""A checkpoint: how far every topic and the ledger had come at one moment, signed, in a file for the auditor.

The file is canonical JSON (RFC 8785), so that any language can check it. `docs/reference/audit.md` describes it.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field

from salur.inside.audit.signing import SigningKey, key_id
from shared.errors import SalurError
from shared.events.topics import Service
from shared.privacy.hpke import from_base64url, to_base64url
from shared.runtime.positions import Place

FORMAT: Final = "salur-checkpoint/1"
NUMBER_MAX: Final = 2**53 - 1
"""Above it, JSON's numbers are no longer exact in every language."""


class NotACheckpoint(SalurError):
    """A file that is no checkpoint of this format."""


class NotSigned(SalurError):
    """The signature is not that of the given key over this text."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TopicHead(_Part):
    """One partition: `digest` (hex) is over all its events below `next_sequence`."""

    stage: Service
    topic: str
    partition: int = Field(ge=0)
    next_sequence: int = Field(ge=1, le=NUMBER_MAX)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")

    @property
    def place(self) -> Place:
        return Place(self.topic, self.partition)


class LedgerMark(_Part):
    """The ledger's digest (hex) over all transfers up to this id."""

    id: int = Field(ge=1, le=NUMBER_MAX)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class LedgerHead(_Part):
    """The transfers with ids up to `last_id`; `digest` is empty before the first. Balances follow from them."""

    last_id: int = Field(default=0, ge=0, le=NUMBER_MAX)
    transfers: int = Field(default=0, ge=0)
    digest: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    marks: tuple[LedgerMark, ...] = ()
    balances_idr: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    """by cycle and account"""

    @property
    def every_mark(self) -> tuple[LedgerMark, ...]:
        """The last one included."""
        return (*self.marks, LedgerMark(id=self.last_id, digest=self.digest)) if self.last_id else ()


class Statement(_Part):
    """What is signed. Whatever was committed before `made_at` is below these heads."""

    format: Literal["salur-checkpoint/1"] = FORMAT
    made_at: str
    previous: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the checkpoint before"""
    heads: tuple[TopicHead, ...]
    ledger: LedgerHead
    key: str


class Checkpoint(Statement):
    """A statement with its signature (base64url) over the canonical form of all other members."""

    signature: str

    @property
    def sha256(self) -> str:
        """What the next checkpoint calls `previous`, and `sha256sum` says of the file."""
        return sha256(canonical(self.model_dump())).hexdigest()


def canonical(value: Any) -> bytes:
    """JSON as RFC 8785 writes it: members sorted, no white space. Raises SalurError for a number that is not exact."""
    _refuse_inexact(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(statement: Statement, key: SigningKey) -> Checkpoint:
    assert statement.key == key.id
    signature = to_base64url(key.private.sign(canonical(statement.model_dump())))
    return Checkpoint(**dict(statement), signature=signature)


def write(checkpoint: Checkpoint, out: Path) -> None:
    """The canonical form, in a new file. Raises SalurError where one is already."""
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with out.open("xb") as stream:
            stream.write(canonical(checkpoint.model_dump()))
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError:
        raise SalurError(f"there is a file at {out} already", hint="a checkpoint is never overwritten") from None


def read(path: Path, public: Ed25519PublicKey) -> Checkpoint:
    """A checkpoint that this key has signed. Raises NotACheckpoint, NotSigned."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise NotACheckpoint(f"the checkpoint {path} cannot be read: {error.strerror}") from None
    return parse(text, path, public)


def parse(text: bytes, path: Path, public: Ed25519PublicKey) -> Checkpoint:
    """As `read`; `path` is for the errors."""
    try:
        checkpoint = Checkpoint.model_validate(json.loads(text))
    except ValueError:
        raise NotACheckpoint(f"{path} is not a checkpoint of the format {FORMAT}") from None
    signed = checkpoint.model_dump(exclude={"signature"})
    try:
        public.verify(_signature_of(checkpoint), canonical(signed))
    except (InvalidSignature, ValueError):
        given = key_id(public)
        raise NotSigned(
            f"{path} is not as it was signed, or was signed with another key (it names {checkpoint.key}, the given "
            f"public key is {given})",
            hint="take the checkpoint and the key from where you keep them, not from whom you audit",
        ) from None
    return checkpoint


def _signature_of(checkpoint: Checkpoint) -> bytes:
    """Of its one spelling, so that a checkpoint's hash names one text. Raises ValueError for another."""
    signature = from_base64url(checkpoint.signature)
    if to_base64url(signature) != checkpoint.signature:
        raise ValueError("another spelling of base64url")
    return signature


def timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _refuse_inexact(value: Any) -> None:
    if isinstance(value, Mapping):
        for one in value.values():
            _refuse_inexact(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            _refuse_inexact(one)
    elif isinstance(value, int) and abs(value) > NUMBER_MAX:
        raise SalurError(f"{value} is too large for a number in JSON that every language reads alike")

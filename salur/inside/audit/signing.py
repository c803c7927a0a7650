"""The key that signs checkpoints: a PEM file of its own, for its owner only. No service has it or is given it."""

import os
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from shared.errors import SalurError
from shared.privacy.hpke import from_base64url, to_base64url

FILE_NAME: Final = "audit-signing-key.pem"
_ID_CHARS: Final = 16


class SigningKeyInvalid(SalurError):
    """Not an Ed25519 private key in PEM for its owner only, or not a public one."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the id that its checkpoints name."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> Ed25519PublicKey:
        return self.private.public_key()

    @property
    def id(self) -> str:
        return key_id(self.public)


def key_id(public: Ed25519PublicKey) -> str:
    """Follows from the key itself: nobody can give another key the same name."""
    return "audit-" + sha256(public.public_bytes_raw()).hexdigest()[:_ID_CHARS]


def raw(public: Ed25519PublicKey) -> str:
    """The 32 bytes as base64url."""
    return to_base64url(public.public_bytes_raw())


def pem(public: Ed25519PublicKey) -> str:
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def ensure(path: Path) -> tuple[SigningKey, bool]:
    """The key in this file, and whether it was made just now. Raises SigningKeyInvalid."""
    made = not path.exists() and _create(path)
    return read(path), made


def read(path: Path) -> SigningKey:
    """Raises SigningKeyInvalid."""
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            text = stream.read()
    except OSError as error:
        raise SigningKeyInvalid(f"the signing key {path} cannot be read: {error.strerror}") from None
    if os.name == "posix" and mode & 0o077:
        raise SigningKeyInvalid(f"others on this machine may use the signing key {path}", hint=f"chmod 600 {path}")
    try:
        private = load_pem_private_key(text, password=None)
        if isinstance(private, Ed25519PrivateKey):
            return SigningKey(private)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass
    raise SigningKeyInvalid(
        f"{path} is not an Ed25519 private key in PEM",
        hint="services' key files never sign; without --key a signing key is made on first use",
    )


def public_key(given: str) -> Ed25519PublicKey:
    """From base64url, from PEM, or from a file with either. Raises SigningKeyInvalid."""
    text = given
    if "BEGIN" not in given and (path := Path(given)).is_file():
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        if "BEGIN" in text:
            found = load_pem_public_key(text.encode())
            if isinstance(found, Ed25519PublicKey):
                return found
        else:
            return Ed25519PublicKey.from_public_bytes(from_base64url(text.strip()))
    except (ValueError, UnsupportedAlgorithm):
        pass
    raise SigningKeyInvalid(
        "the public key is neither 32 bytes as base64url nor an Ed25519 public key in PEM, nor a file with either",
        hint="`salur audit key` prints it where checkpoints are made",
    )


def _create(path: Path) -> bool:
    """The file appears with its whole content or not at all; of several processes at once, one makes it."""
    text = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        return True
    finally:
        temporary.unlink()

"""What follows from the session's cookie: its hash, which is stored; the key of its tokens; the form token (CSRF)."""

import hashlib
import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

COOKIE: Final = "salur_officer"
SIGN_IN_COOKIE: Final = "salur_sign_in"
LANGUAGE_COOKIE: Final = "salur_language"
_NONCE_BYTES: Final = 12


def new() -> str:
    """32 random bytes: nobody guesses one."""
    return secrets.token_urlsafe(32)


def stored(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()


def form_token(cookie: str) -> str:
    """Stands in every form; a page of somebody else cannot know it."""
    return hmac.digest(cookie.encode(), b"form", "sha256").hex()


def is_form_token(cookie: str, given: str) -> bool:
    return hmac.compare_digest(form_token(cookie).encode(), given.encode())


def seal(cookie: str, text: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(_key(cookie)).encrypt(nonce, text.encode(), b"tokens")


def unseal(cookie: str, sealed: bytes) -> str | None:
    """None where it was sealed under another cookie, or is damaged."""
    try:
        return AESGCM(_key(cookie)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], b"tokens").decode()
    except (InvalidTag, ValueError):
        return None


def _key(cookie: str) -> bytes:
    return hmac.digest(cookie.encode(), b"tokens", "sha256")

"""Codes and tokens. Codes live in memory for a minute and work once; tokens are signed and need no memory."""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from simulators.issuer.keys import ALGORITHM
from simulators.issuer.people import Officer

CODE_LIFE_S = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the program asked for when it sent an officer here."""

    redirect_uri: str
    state: str
    nonce: str
    code_challenge: str


@dataclass(slots=True)
class Tokens:
    """Issues and checks. Times in seconds."""

    issuer: str
    client_id: str
    audience: str
    key: ECKey
    access_s: int
    refresh_s: int
    _codes: dict[str, tuple[str, Asked, float]] = field(default_factory=dict)

    def code(self, officer: Officer, asked: Asked) -> str:
        now = time.monotonic()
        self._codes = {code: held for code, held in self._codes.items() if held[2] > now}
        code = secrets.token_urlsafe(32)
        self._codes[code] = (officer.subject, asked, now + CODE_LIFE_S)
        return code

    def redeem(self, code: str, redirect_uri: str, verifier: str) -> tuple[str, str] | None:
        """Subject and nonce; None for a code that is unknown, used, too old, or somebody else's."""
        subject, asked, until = self._codes.pop(code, ("", None, 0.0))
        if asked is None or until < time.monotonic() or asked.redirect_uri != redirect_uri:
            return None
        challenge: str = create_s256_code_challenge(verifier)
        return (subject, asked.nonce) if secrets.compare_digest(challenge, asked.code_challenge) else None

    def of(self, officer: Officer, *, nonce: str | None, signed_in_at: int) -> dict[str, Any]:
        """The token endpoint's answer. Refreshing never makes a sign-in longer than `refresh_s`."""
        now = int(time.time())
        common = {"iss": self.issuer, "sub": officer.subject, "iat": now}
        about = {"name": officer.name, "salur_roles": list(officer.roles), "salur_area": officer.area}
        access = {
            **common,
            **about,
            "aud": self.audience,
            "client_id": self.client_id,
            "exp": now + self.access_s,
            "jti": secrets.token_urlsafe(12),
        }
        ends_at = signed_in_at + self.refresh_s
        refresh = {**common, "aud": f"{self.issuer}/token", "exp": ends_at, "auth_time": signed_in_at}
        answer = {
            "access_token": self._sign(access, "at+jwt"),
            "token_type": "Bearer",
            "expires_in": self.access_s,
            "refresh_token": self._sign(refresh, "refresh+jwt"),
            "refresh_expires_in": max(0, ends_at - now),
            "scope": "openid profile",
        }
        if nonce is not None:
            identity = {
                **common,
                **about,
                "aud": self.client_id,
                "exp": now + self.access_s,
                "auth_time": signed_in_at,
                "nonce": nonce,
            }
            answer["id_token"] = self._sign(identity, "JWT")
        return answer

    def read_refresh(self, token: str) -> tuple[str, int] | None:
        """Subject and time of signing in; None for a token that is not of here, or over."""
        try:
            read = jwt.decode(token, self.key, algorithms=[ALGORITHM])
            rules = jwt.JWTClaimsRegistry(
                iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": f"{self.issuer}/token"},
                exp={"essential": True},
            )
            rules.validate(read.claims)
        except (JoseError, ValueError):
            return None
        if read.header.get("typ") != "refresh+jwt":
            return None
        return str(read.claims["sub"]), int(read.claims["auth_time"])

    def _sign(self, claims: dict[str, Any], kind: str) -> str:
        header = {"alg": ALGORITHM, "kid": self.key.kid, "typ": kind}
        return jwt.encode(header, claims, self.key, algorithms=[ALGORITHM])

"""The simulated issuer as a process of its own, and tokens as it would sign them, or never would."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from shared.officers import Access, Verifier
from shared.settings import OfficerSettings
from simulators.issuer import people
from simulators.issuer.keys import signing_key
from simulators.issuer.tokens import Tokens
from tests.integration.running_simulator import Simulator, running

OFFICERS = people.load(people.OFFICERS)
REDIRECT = "http://127.0.0.1:1/console/signed-in"
SECRET = "issuer-secret"


@dataclass
class Issuing:
    """An issuer at `url` with its signing key."""

    url: str
    key: ECKey
    process: Simulator

    @property
    def settings(self) -> OfficerSettings:
        return OfficerSettings(oidc_issuer=self.url)

    @property
    def access(self) -> Access:
        return Access(Verifier(self.settings))

    def token(self, subject: str) -> str:
        """An access token of this officer, as the issuer makes it."""
        made = Tokens(self.url, "salur-console", "salur", self.key, 300, 3600)
        token: str = made.of(OFFICERS[subject], nonce=None, signed_in_at=int(time.time()))["access_token"]
        return token

    def headers(self, subject: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(subject)}"}

    def signed(self, key: Any = None, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token with other claims, header or key; a claim that is None is left out."""
        now = int(time.time())
        usual = {"iss": self.url, "sub": "x", "aud": "salur", "iat": now, "exp": now + 60, "name": "X"}
        usual |= {"salur_roles": ["read"], "salur_area": "7604"}
        stated = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        fields = {"alg": "ES256", "kid": self.key.kid, **(header or {})}
        return jwt.encode(fields, stated, key or self.key, algorithms=[fields["alg"]])


@asynccontextmanager
async def issuing(folder: Path, redirect: str = REDIRECT, *, access_s: int = 300) -> AsyncIterator[Issuing]:
    key = signing_key(folder)
    options = ("--redirect", redirect, "--client-secret", SECRET, "--access-s", access_s)
    async with running("issuer", folder, *options) as process:
        yield Issuing(process.url, key, process)

"""An access token's verification: signature against the issuer's published keys, issuer, audience, times.

The issuer is any OpenID Connect provider that gives access tokens as JWT (RFC 9068). Algorithms are pinned to those
with a public key, so that neither `none` nor a public key used as a secret opens anything (RFC 8725, 3.1 and 3.2).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet

from shared.officers.officer import IssuerAway, NotSignedIn
from shared.settings import OfficerSettings

ALGORITHMS: Final = ("ES256", "ES384", "RS256", "PS256", "EdDSA")
TOKEN_CHARACTERS_MAX: Final = 8_000
LEEWAY_S: Final = 5
KEYS_LIFE_S: Final = 3_600.0
KEYS_TRUST_S: Final = 24 * 3_600.0
"""So long known keys hold while the issuer cannot be asked: one that it has withdrawn must not open for ever."""
KEYS_PAUSE_S: Final = 10.0
"""Not more often are keys fetched anew: a made-up key id in a token must not call the issuer each time."""
ANSWER_MAX_S: Final = 5.0


class Signatures:
    """One a process: it remembers the issuer's keys. The settings name an issuer.

    `clock`: seconds that never go back; it says how old the keys are, and never whether a token has expired.
    """

    def __init__(self, settings: OfficerSettings, clock: Callable[[], float]) -> None:
        assert settings.oidc_issuer
        self._issuer = settings.oidc_issuer
        self._settings = settings
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = self._tried_at = -KEYS_LIFE_S
        self._fetching = asyncio.Lock()

    async def claims(self, token: str, audience: str) -> Mapping[str, Any]:
        """The claims of a token that holds for this audience. Raises NotSignedIn, IssuerAway."""
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise NotSignedIn("the token is too long to be one")
        try:
            header = jws.extract_compact(token.encode()).headers()
        except (JoseError, ValueError):
            raise NotSignedIn("the token is no signed JWT") from None
        if header.get("alg") not in ALGORITHMS:
            raise NotSignedIn(
                "the token is signed in a way that is not taken", hint=f"taken are {', '.join(ALGORITHMS)}"
            )
        keys = await self._keys_with(str(header.get("kid", "")))
        rules = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            read = jwt.decode(token, keys, algorithms=ALGORITHMS)
            rules.validate(read.claims)
        except ExpiredTokenError:
            raise NotSignedIn("the token has expired", hint="sign in again") from None
        except (JoseError, ValueError) as error:
            raise NotSignedIn(f"the token does not hold ({type(error).__name__})", hint="sign in again") from None
        return read.claims

    async def _keys_with(self, key_id: str) -> KeySet:
        """The issuer's keys, fetched anew where they are old or lack this one. Raises NotSignedIn, IssuerAway."""
        if not self._fresh(key_id):
            async with self._fetching:
                if not self._fresh(key_id) and self._clock() - self._tried_at >= KEYS_PAUSE_S:
                    self._tried_at = self._clock()
                    await self._fetch()
        if self._keys is None or self._clock() - self._fetched_at >= KEYS_TRUST_S:
            raise IssuerAway("the officers' issuer does not answer", hint="try again in a moment")
        if not _holds(self._keys, key_id):
            raise NotSignedIn("the token is signed with a key that the issuer does not publish", hint="sign in again")
        return self._keys

    def _fresh(self, key_id: str) -> bool:
        young = self._clock() - self._fetched_at < KEYS_LIFE_S
        return self._keys is not None and young and _holds(self._keys, key_id)

    async def _fetch(self) -> None:
        """What is known already is kept where the issuer is away, for KEYS_TRUST_S."""
        try:
            metadata = await discovered(self._settings)
            self._keys = KeySet.import_key_set(await _json(metadata["jwks_uri"]))
            self._fetched_at = self._clock()
        except (IssuerAway, JoseError, KeyError, ValueError, TypeError):
            return


async def discovered(settings: OfficerSettings) -> dict[str, Any]:
    """The issuer's discovery document. Raises IssuerAway, also where it is another issuer's."""
    issuer = settings.oidc_issuer or ""
    address = settings.oidc_discovery or f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    found = await _json(address)
    if not isinstance(found, dict) or found.get("issuer") != issuer:
        raise IssuerAway(f"what is at {address} is not the issuer {issuer}", hint="compare SALUR_OIDC_ISSUER")
    return found


async def _json(address: str) -> Any:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_MAX_S)) as session,
            session.get(address, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise IssuerAway(f"{address} answers {response.status}")
            return await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise IssuerAway(f"{address} does not answer ({type(error).__name__})") from None


def _holds(keys: KeySet, key_id: str) -> bool:
    return any(key.kid == key_id for key in keys.keys)

"""The console as a client of the officers' issuer: authorization code with PKCE, refreshing, signing out."""

import base64
import json
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from services.portal.console.settings import ConsoleSettings
from shared.officers import IssuerAway, NotSignedIn, Officer, Verifier
from shared.officers.signatures import discovered

ANSWER_MAX_S: Final = 5.0


class Tokens(NamedTuple):
    """What the issuer gave; `access_s` is how long the access token holds."""

    access: str
    refresh: str | None
    access_s: int

    def as_json(self) -> str:
        return json.dumps(self)

    @classmethod
    def from_json(cls, text: str) -> "Tokens":
        return cls(*json.loads(text))


@dataclass(slots=True)
class Issuer:
    """One a process. The issuer's document is fetched once it is needed, and kept."""

    settings: ConsoleSettings
    verifier: Verifier
    _document: dict[str, Any] | None = None

    @property
    def redirect_uri(self) -> str:
        return f"{self.settings.portal_url}/console/signed-in"

    async def authorization_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where the officer's browser is sent to sign in. Raises IssuerAway."""
        document = await self._known()
        asked = {
            "response_type": "code",
            "client_id": self.settings.oidc_client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.settings.oidc_scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        return f"{document['authorization_endpoint']}?{urlencode(asked)}"

    async def redeem(self, *, code: str, nonce: str, verifier: str) -> tuple[Officer, Tokens]:
        """The officer whom the issuer signed in. Raises NotSignedIn, IssuerAway."""
        answer = await self._token(
            grant_type="authorization_code", code=code, redirect_uri=self.redirect_uri, code_verifier=verifier
        )
        claims = await self.verifier.claims(str(answer.get("id_token", "")), self.settings.oidc_client_id)
        if claims.get("nonce") != nonce:
            raise NotSignedIn("the issuer answered another question", hint="sign in again")
        officer, tokens = await self._read(answer)
        if claims["sub"] != officer.subject:
            raise NotSignedIn("the issuer's tokens are of two people")
        return officer, tokens

    async def refresh(self, tokens: Tokens) -> tuple[Officer, Tokens]:
        """Who the officer is now, with roles and area of now. Raises NotSignedIn where the issuer has ended it."""
        if tokens.refresh is None:
            raise NotSignedIn("the sign-in is over", hint="sign in again")
        answer = await self._token(grant_type="refresh_token", refresh_token=tokens.refresh)
        return await self._read({"refresh_token": tokens.refresh, **answer})

    async def end_url(self, back: str) -> str:
        """Where a browser is sent to sign out at the issuer too; `back` where it knows of no such thing."""
        try:
            endpoint = (await self._known()).get("end_session_endpoint")
        except IssuerAway:
            endpoint = None
        if not endpoint:
            return back
        return f"{endpoint}?{urlencode({'client_id': self.settings.oidc_client_id, 'post_logout_redirect_uri': back})}"

    async def _read(self, answer: dict[str, Any]) -> tuple[Officer, Tokens]:
        access = str(answer.get("access_token", ""))
        officer = await self.verifier.officer(access)
        refresh, lasts_s = answer.get("refresh_token"), answer.get("expires_in")
        return officer, Tokens(access, str(refresh) if refresh else None, int(lasts_s or 60))

    async def _token(self, **asked: str) -> dict[str, Any]:
        address = (await self._known())["token_endpoint"]
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_MAX_S)) as session,
                session.post(address, data=asked, headers=self._as_client(), allow_redirects=False) as response,
            ):
                answer = await response.json(content_type=None)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise IssuerAway(f"the officers' issuer does not answer ({type(error).__name__})") from None
        if status in (400, 401) and isinstance(answer, dict):
            raise NotSignedIn(f"the issuer refuses: {answer.get('error')}", hint="sign in again")
        if status != 200 or not isinstance(answer, dict):
            raise IssuerAway(f"the officers' issuer answers {status}")
        return answer

    def _as_client(self) -> dict[str, str]:
        """By HTTP Basic, both parts encoded as in a form (RFC 6749, 2.3.1)."""
        secret = self.settings.oidc_client_secret.get_secret_value()
        pair = f"{quote(self.settings.oidc_client_id, safe='')}:{quote(secret, safe='')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    async def _known(self) -> dict[str, Any]:
        if self._document is None:
            self._document = await discovered(self.settings)
        return self._document

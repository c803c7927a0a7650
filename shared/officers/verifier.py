"""Who an officer's access token stands for."""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from shared.officers.officer import NotSignedIn, Officer, officer_of
from shared.settings import OfficerSettings


class Verifier:
    """One a process: it remembers the issuer's keys. Without an issuer in the settings no officer is let in.

    `clock`: seconds that never go back; it says how old the keys are, and never whether a token has expired.
    """

    def __init__(self, settings: OfficerSettings, clock: Callable[[], float] = monotonic) -> None:
        self._settings = settings
        self._signatures = None
        if settings.oidc_issuer:  # what checks signatures takes a fifth of a service's start to load
            from shared.officers.signatures import Signatures

            self._signatures = Signatures(settings, clock)

    async def officer(self, token: str) -> Officer:
        """Who this access token stands for. Raises NotSignedIn, IssuerAway."""
        settings = self._settings
        claims = await self.claims(token, settings.oidc_audience)
        return officer_of(
            claims, name=settings.oidc_name_claim, roles=settings.oidc_roles_claim, area=settings.oidc_area_claim
        )

    async def claims(self, token: str, audience: str) -> Mapping[str, Any]:
        """The claims of a token that holds for this audience; an identity token's is the client. Raises likewise."""
        if self._signatures is None:
            raise NotSignedIn("this service knows no issuer of officers' tokens", hint="set SALUR_OIDC_ISSUER")
        return await self._signatures.claims(token, audience)

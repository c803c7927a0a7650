"""Letting officers in: FastAPI dependencies for every service's endpoints."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Header

from shared.officers.officer import NotSignedIn, Officer, Role
from shared.officers.verifier import Verifier

Authorization = Annotated[str | None, Header()]


class Access:
    """Made once a service from its verifier."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def officer(self, *roles: Role) -> Callable[[str | None], Coroutine[Any, Any, Officer]]:
        """A dependency that gives the officer of the request's bearer token, who has one of these roles.

        Raises NotSignedIn (401), MayNot (403), IssuerAway (503).
        """

        async def one(authorization: Authorization = None) -> Officer:
            officer = await self.of(authorization)
            officer.need(*roles)
            return officer

        return one

    async def of(self, authorization: str | None) -> Officer:
        """Whose token an `Authorization` header carries. Raises NotSignedIn, IssuerAway."""
        token = bearer(authorization)
        if token is None:
            raise NotSignedIn("this needs an officer's access token", hint="send it as `Authorization: Bearer TOKEN`")
        return await self._verifier.officer(token)


def bearer(authorization: str | None) -> str | None:
    """The token in an `Authorization` header."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def looks_signed(token: str | None) -> bool:
    """Whether this can be a JWT, so that a service may tell an officer's token from its other tokens."""
    return token is not None and token.count(".") == 2

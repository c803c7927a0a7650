"""Sessions: opened at sign-in, over after a quarter of an hour without a view and after eight hours in any case.

While one lives, the issuer is asked again whenever its access token runs out: roles that were taken away are gone
within minutes.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, cast

import asyncpg

from services.portal.console import cookies
from services.portal.console.oidc import Issuer, Tokens
from services.portal.console.store import sessions
from shared.clock import now
from shared.officers import NotSignedIn, Officer, Role

SPARE = timedelta(seconds=20)
"""So long an access token must still hold when it is handed on."""
_LOCKS = 64
_LOOKS, _LOOK_S = 5, 0.2


class Session(NamedTuple):
    """A living one."""

    cookie: str
    officer: Officer
    access_token: str

    @property
    def form_token(self) -> str:
        return cookies.form_token(self.cookie)


@dataclass(slots=True)
class Sessions:
    """One a process."""

    pool: asyncpg.Pool
    issuer: Issuer
    idle: timedelta
    life: timedelta
    _renewing: list[asyncio.Lock] = field(default_factory=lambda: [asyncio.Lock() for _ in range(_LOCKS)])

    async def open(self, officer: Officer, tokens: Tokens) -> str:
        """The cookie of a new session."""
        cookie, at = cookies.new(), now()
        await sessions.open_session(
            self.pool,
            cookies.stored(cookie),
            officer,
            cookies.seal(cookie, tokens.as_json()),
            checked_until=_holds_until(tokens, at),
            at=at,
            ends_at=at + self.life,
            idle=self.idle,
        )
        return cookie

    async def of(self, cookie: str | None, *, seen: bool = True) -> Session | None:
        """None where there is no session (any more). `seen`: somebody looks, so it does not idle. Raises IssuerAway."""
        row = await self._row(cookie, seen=seen) if cookie else None
        if cookie is None or row is None:
            return None
        if row["checked_until"] <= now():
            lock = self._renewing[row["cookie_sha256"][0] % _LOCKS]
            async with lock:  # a refresh token may work once only
                row = await self._row(cookie, seen=False)
                if row is not None and row["checked_until"] <= now() and not await self._renewed(cookie, row):
                    return None
                row = await self._row(cookie, seen=False)
        tokens = cookies.unseal(cookie, row["tokens"]) if row else None
        if row is None or tokens is None:
            return None
        return Session(cookie, _officer(row), Tokens.from_json(tokens).access)

    async def whose(self, cookie: str) -> Officer | None:
        """Whose living session this is; the issuer is not asked, and nothing may be done with it but to end it."""
        row = await self._row(cookie, seen=False) if cookie else None
        return _officer(row) if row else None

    async def end(self, cookie: str) -> None:
        await sessions.end(self.pool, cookies.stored(cookie))

    async def _row(self, cookie: str, *, seen: bool) -> asyncpg.Record | None:
        return await sessions.session(self.pool, cookies.stored(cookie), now(), self.idle, seen=seen)

    async def _renewed_elsewhere(self, cookie: str, row: asyncpg.Record) -> bool:
        """Whether another instance has renewed this session by the same token, which works once only: it may be about
        to write it down."""
        for _ in range(_LOOKS):
            again = await self._row(cookie, seen=False)
            if again is not None and again["checked_until"] != row["checked_until"]:
                return True
            await asyncio.sleep(_LOOK_S)
        return False

    async def _renewed(self, cookie: str, row: asyncpg.Record) -> bool:
        """Whether the issuer still stands by this officer; the session ends where it does not."""
        held = cookies.unseal(cookie, row["tokens"])
        try:
            if held is None:
                raise NotSignedIn("the tokens do not open")
            try:
                officer, tokens = await self.issuer.refresh(Tokens.from_json(held))
            except NotSignedIn:
                if await self._renewed_elsewhere(cookie, row):
                    return True
                raise
            if officer.subject != row["subject"]:
                raise NotSignedIn("the issuer answers for somebody else")
        except NotSignedIn:
            await self.end(cookie)
            return False
        sealed = cookies.seal(cookie, tokens.as_json())
        until = _holds_until(tokens, now())
        await sessions.renew(self.pool, cookies.stored(cookie), officer, sealed, until)
        return True


def _holds_until(tokens: Tokens, at: datetime) -> datetime:
    lasts = timedelta(seconds=tokens.access_s)
    return at + max(lasts - SPARE, lasts / 2)


def _officer(row: asyncpg.Record) -> Officer:
    return Officer(row["subject"], row["name"], frozenset(cast("list[Role]", row["roles"])), row["area"])

"""Codes and sessions of `My aid`: asked for, issued, handed out, entered, and left.

Nothing here tells a stranger whether a NIK is known: a request is two statements in every case, what follows from it
follows later in a worker, and a wrong code is wrong in the same way for everybody.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

import asyncpg

from services.portal.addresses import networks
from services.portal.ends import AskEnds
from services.portal.metrics import CODES, REQUESTS, SIGN_INS
from services.portal.store import access
from services.portal.store.access import Arrival, CodeRow, Limits
from shared import clock
from shared.events import CodeIssued, Event, caused_by, first_cause
from shared.privacy.keyring import Keyring
from shared.privacy.sealed import SealedCode
from shared.runtime.emit import Outbox
from shared.runtime.worker import Worker

CODE_LIVES: Final = timedelta(minutes=10)
SESSION_LIVES: Final = timedelta(minutes=10)
KEPT: Final = timedelta(hours=25)
"""Requests are counted over a day, then forgotten."""
WRONG_MAX: Final = 5
CODE_DIGITS: Final = 6
HAND_DIGITS: Final = 10
"""Of a code that an officer hands out: any request of its recipient may try it, and there may be many."""
CODE_SCHEMA: Final = "code.issued/1"
ISSUED_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Desk:
    """`secret` keys every hash that is stored here, so that nobody who reads the tables can try codes or addresses.
    `ends` says where the registrations end on their topic."""

    outbox: Outbox
    keyring: Keyring
    secret: bytes = field(repr=False)
    limits: Limits
    ends: AskEnds
    now: Callable[[], datetime] = clock.now

    @property
    def pool(self) -> asyncpg.Pool:
        return self.outbox.pool

    async def ask(self, address: str, find: Callable[[], Awaitable[str | None]]) -> str | None:
        """A new request's token, for the cookie of whoever asks; None where too many came from this address.

        `find` looks up the recipient's id, and is not called for those: nobody uses up the look-up process for all.
        """
        at = self.now()
        token = secrets.token_hex(16)
        request = _request_of(token)
        near, wide = (self._hash("address", network) for network in networks(address))
        if not await access.arrive(self.pool, Arrival(request, near, wide, at, at + CODE_LIVES), self.limits):
            REQUESTS.labels("address_limited").inc()
            return None
        await access.ask(self.pool, request, await find() or "", at, self.limits)
        REQUESTS.labels("taken").inc()
        return token

    async def issue_due(self) -> int:
        """A worker's turn: requests of registered people get a code, which leaves as an event; others get none.

        While the read model is behind, as in a rebuild, nobody is taken for unknown: the request waits.
        """
        ends = await self.ends() if await access.unknown_waits(self.pool) else None
        at = self.now()
        async with self.outbox.transaction() as transaction:
            due = await access.due_requests(transaction.tx, ISSUED_AT_ONCE, at, ends)
            codes: list[CodeRow] = []
            events: list[Event[CodeIssued]] = []
            for row in due:
                if row["registered"] and row["expires_at"] > at:
                    code = _new_code(CODE_DIGITS)
                    recipient, request = row["recipient_id"], row["request_id"]
                    hashed = self._code_hash(recipient, code)
                    codes.append(CodeRow(recipient, request, None, hashed, at, row["expires_at"]))
                    events.append(self._issued(recipient, request, code, at, row["expires_at"]))
            issued = {row.request_id for row in codes}
            if due:
                ignored = [row["request_id"] for row in due if row["request_id"] not in issued]
                await access.settle_requests(transaction.tx, [r for r in issued if r], ignored)
            if codes:
                await access.add_codes(transaction.tx, codes)
            transaction.emit(events)
        CODES.labels("phone").inc(len(codes))
        return len(due)

    async def issue_by_hand(self, tx: asyncpg.Connection, recipient_id: str, officer: str) -> str:
        """A code for somebody without a phone, to be shown once: it opens any request of this recipient for CODE_LIVES,
        or until another is handed out.

        The caller has made sure that the officer may, and keeps the record of it in the same transaction.
        """
        at, code = self.now(), _new_code(HAND_DIGITS)
        hashed = self._code_hash(recipient_id, code)
        await access.end_codes_by_hand(tx, recipient_id, at)
        await access.add_codes(tx, [CodeRow(recipient_id, None, officer, hashed, at, at + CODE_LIVES)])
        CODES.labels("hand").inc()
        return code

    async def enter(self, asked: str, code: str) -> str | None:
        """A session's token for the right code; None for anything else, whatever the reason. WRONG_MAX tries a
        request, which `asked`, its own token, leads to."""
        at, request = self.now(), _request_of(asked)
        async with self.outbox.transaction() as transaction:
            tx = transaction.tx
            recipient = await access.open_request(tx, request, at, WRONG_MAX)
            hashed = self._code_hash(recipient or "", code)
            entered = recipient is not None and await access.use_code(tx, request, recipient, hashed, at)
            token = secrets.token_urlsafe(32)
            if recipient and entered:
                await access.open_session(tx, _token_hash(token), recipient, at, at + SESSION_LIVES)
        SIGN_INS.labels("opened" if entered else "wrong_code").inc()
        return token if entered else None

    async def recipient_of(self, token: str) -> str | None:
        """Whose session this is; None where it ended."""
        return await access.recipient_of(self.pool, _token_hash(token), self.now())

    async def leave(self, token: str) -> None:
        await access.close_session(self.pool, _token_hash(token))

    async def forget(self) -> int:
        async with self.outbox.transaction() as transaction:
            return await access.forget(transaction.tx, self.now() - KEPT)

    def form_token(self, cookie: str) -> str:
        """What a form must carry beside the cookie that came with it, so that no other site can send it."""
        return self._hash("form", cookie).hex()

    def form_token_holds(self, cookie: str, token: str) -> bool:
        return bool(cookie) and hmac.compare_digest(self.form_token(cookie).encode(), token.encode("utf-8", "replace"))

    def _issued(self, recipient: str, request: str, code: str, at: datetime, expires_at: datetime) -> Event[CodeIssued]:
        sealed = self.keyring.seal("access", code.encode(), recipient=recipient, schema=CODE_SCHEMA)
        data = CodeIssued(request=request, code=SealedCode(sealed.value), expires_at=expires_at, revision=1)
        return caused_by(first_cause(request, "portal"), "portal", data, subject=recipient, time=at)

    def _code_hash(self, recipient_id: str, code: str) -> bytes:
        return self._hash("code", f"{recipient_id}/{code}")

    def _hash(self, what: str, text: str) -> bytes:
        return hmac.digest(self.secret, f"{what}:{text}".encode(), "sha256")


def workers(desk: Desk) -> tuple[Worker, ...]:
    return (
        Worker("codes", desk.issue_due, pause_s=0.5),
        Worker("forget", desk.forget, pause_s=600.0),
    )


def _new_code(digits: int) -> str:
    return f"{secrets.randbelow(10**digits):0{digits}d}"


def _token_hash(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()


def _request_of(token: str) -> str:
    """A request's id stands on topics and leads to no token."""
    return f"q-{_token_hash(token).hex()[:32]}"

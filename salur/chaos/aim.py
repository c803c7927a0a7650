"""The moment at which a fault does most: a process that is hit while it waits for work proves little."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from time import monotonic
from typing import Final

import asyncpg

from salur.inside.connect import Settings, database
from shared.errors import SalurError
from shared.runtime.failures import TROUBLE

WITHIN_S: Final = 5.0
"""A moment that does not come is not waited for any longer."""
_EVERY_S: Final = 0.001


class Aim(StrEnum):
    """When to hit an instance of a service."""

    ANY = "any"
    TRANSACTION = "transaction"
    """it has written, and not committed"""
    OUTBOX = "outbox"
    """events are committed and not yet acknowledged by the broker"""
    CALL = "call"
    """the bank or the carrier was called, and the answer is not written"""


_CALLS: Final[Mapping[str, str]] = {
    "payout": "SELECT EXISTS (SELECT FROM payout WHERE state = 'claimed')",
    "notify": "SELECT EXISTS (SELECT FROM message WHERE state = 'sending')",
}
_WRITES: Final = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1 AND backend_xid IS NOT NULL)
"""
_OUTBOX: Final = "SELECT EXISTS (SELECT FROM outbox)"


_SELDOM: Final[Mapping[str, tuple[Aim, ...]]] = {"portal": (Aim.OUTBOX,), "monitor": (Aim.OUTBOX, Aim.TRANSACTION)}
"""What the portal emits are codes, for which nobody asks here; the monitor keeps its counts in Kafka, and writes to the
database where an alert comes or goes or an account is paid."""


def aims_of(service: str) -> tuple[Aim, ...]:
    never = _SELDOM.get(service, ()) if service in _CALLS else (Aim.CALL, *_SELDOM.get(service, ()))
    return tuple(aim for aim in Aim if aim not in never)


async def moment(settings: Settings, victim: str, aim: Aim) -> bool:
    """Returns at that moment of `service-instance`; False where it did not come, or the database is away."""
    service = victim.rpartition("-")[0]
    question: tuple[str, ...]
    match aim:
        case Aim.ANY:
            return False
        case Aim.TRANSACTION:
            question = (_WRITES, f"salur-{victim}")
        case Aim.OUTBOX:
            question = (_OUTBOX,)
        case Aim.CALL:
            question = (_CALLS[service],)
    with suppress(SalurError, *TROUBLE, asyncpg.PostgresError):
        async with database(settings, service) as connection:
            until = monotonic() + WITHIN_S
            while monotonic() < until:
                if await connection.fetchval(*question):
                    return True
                await asyncio.sleep(_EVERY_S)
    return False

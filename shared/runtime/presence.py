"""Who works on a service's database: each process of the service, or one recovery, and never both.

A process holds a shared advisory lock for as long as it lives; a recovery wants the same lock for itself. Kafka's group
is asked besides: a process that lost its database with the lock in it is still a member there.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import asyncpg
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)

from shared.errors import SalurError, Trouble
from shared.events.topics import Service
from shared.kafka import KafkaAway, admin
from shared.settings import KafkaSettings

_LOCK_CLASS = 0x5A2  # first half of the advisory lock's key; the second is the service's
LEAVES_S = 20.0
"""A process that refuses a restored database ends by itself, and whoever keeps it running starts it again."""
MEMBER_LEAVES_S = 60.0
"""Longer than a session: a process that was killed is a member until its session has run out."""
_POLL_S = 0.5


class BeingRecovered(Trouble):
    """`salur recover` works on this database."""


class StillRuns(SalurError):
    """A process of the service is alive."""


async def enter(url: str, service: Service) -> asyncpg.Connection:
    """A connection that says that a process of this service lives; closing it says that it does not.

    Raises BeingRecovered.
    """
    connection = await asyncpg.connect(url, server_settings={"application_name": f"salur-{service}-presence"})
    if not await connection.fetchval("SELECT pg_try_advisory_lock_shared($1, hashtext($2))", _LOCK_CLASS, service):
        connection.terminate()
        raise BeingRecovered(f"`salur recover {service}` is at work", hint="the service starts when it is done")
    return connection


@asynccontextmanager
async def alone(
    kafka: KafkaSettings, url: str, service: Service, waiting: Callable[[int], None] = lambda members: None
) -> AsyncIterator[None]:
    """No process of this service lives, and none starts, within the block.

    Members of the group that were killed are waited for; `waiting` is told how many there are. Raises StillRuns.
    """
    connection = await asyncpg.connect(url, server_settings={"application_name": f"salur-recover-{service}"})
    try:
        await _lock(connection, service)
        await _wait_for_members(kafka, service, waiting)
        yield
    finally:
        connection.terminate()


async def _lock(connection: asyncpg.Connection, service: Service) -> None:
    until = monotonic() + LEAVES_S
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1, hashtext($2))", _LOCK_CLASS, service):
        if monotonic() > until:
            raise StillRuns(
                f"a process of {service} works on this database, or another recovery does",
                hint=f"stop every instance first (`salur up --scale {service}=0` where `salur up` started it)",
            )
        await asyncio.sleep(_POLL_S / 5)


async def _wait_for_members(kafka: KafkaSettings, service: Service, waiting: Callable[[int], None]) -> None:
    until = monotonic() + MEMBER_LEAVES_S
    async with admin(kafka) as client:
        while members := await _members(client, service):
            if monotonic() > until:
                raise StillRuns(
                    f"{members} processes of {service} read from Kafka, though none is known to the database",
                    hint="one that was paused, or works on another database? stop it; nothing was changed",
                )
            waiting(members)
            await asyncio.sleep(_POLL_S)


async def _members(client: Any, service: Service) -> int:
    """How many are in the service's group; one that Kafka has never seen has none."""
    until = monotonic() + LEAVES_S
    while True:
        try:
            answers = await client.describe_consumer_groups([f"salur-{service}"])
            return sum(len(group[5]) for answer in answers for group in answer.groups)
        except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError, GroupLoadInProgressError) as error:
            if monotonic() > until:  # a new or restarted broker needs a moment for its groups
                raise KafkaAway(f"Kafka does not say who reads for {service} ({type(error).__name__})") from error
            await asyncio.sleep(_POLL_S)

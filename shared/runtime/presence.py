"""Who works on a service's database: each process of the service, or one recovery, and never both.

A process holds a shared advisory lock for as long as it lives; a recovery wants the same lock for itself. Kafka's group
is asked besides: a process that lost its database with the lock in it is still a member there.

A database that was away can come back as another one: a backup was restored in its place, or a standby took over
without the last transactions. So a process looks at it anew before it does anything there; until then each new
connection is refused.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, NamedTuple

import asyncpg
import structlog
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)

from shared.errors import SalurError, Trouble
from shared.events.topics import Service
from shared.kafka import KafkaAway, admin, in_time
from shared.runtime.backoff import Backoff
from shared.runtime.client import ClientStuck
from shared.runtime.failures import is_trouble, told
from shared.settings import KafkaSettings

log = structlog.get_logger()

_LOCK_CLASS = 0x5A2  # first half of the advisory lock's key; the second is the service's
LEAVES_S = 20.0
"""A process that refuses a restored database ends by itself, and whoever keeps it running starts it again."""
MEMBER_LEAVES_S = 60.0
"""Longer than a session: a process that was killed is a member until its session has run out."""
_POLL_S = 0.5
LOOKED_WITHIN_S = 60.0
"""Kafka's client can wait for ever where its broker goes away in the middle of a look."""


class BeingRecovered(Trouble):
    """`salur recover` works on this database."""


class StillRuns(SalurError):
    """A process of the service is alive."""


class DatabaseUnseen(Trouble):
    """The database server was started anew, and this process has not yet looked at what it holds."""


class Incarnation(NamedTuple):
    """One run of one database server. What comes back in another run may be older."""

    started_at: datetime
    database: int


Look = Callable[[asyncpg.Connection], Awaitable[None]]
"""Raises what forbids to go on with this database (DatabaseOlderThanTopic), or trouble."""


@dataclass(slots=True)
class Presence:
    """This process on its service's database. Made by `enter`."""

    url: str
    service: Service
    connection: asyncpg.Connection
    seen: Incarnation
    lost: bool = False
    """The lock is gone, or the server was met in another run: the database is to be looked at."""

    async def admit(self, connection: asyncpg.Connection) -> None:
        """For a pool's new connections. Raises DatabaseUnseen for one to a server that was not looked at."""
        if await _incarnation(connection) != self.seen:
            self.lost = True
            raise DatabaseUnseen(
                "the database server was started anew; nothing is done before it was compared with the topics"
            )

    async def keep(self, look: Look, stopping: asyncio.Event) -> None:
        """Looks whenever the database was lost, until told to stop. Raises what `look` raises but for trouble, and
        ClientStuck where a look does not end: started anew, the process looks before anything else."""
        backoff = Backoff()
        while not stopping.is_set():
            pause_s = _POLL_S
            if self.lost:
                try:
                    await self._renew(look)
                    backoff.reset()
                except Exception as error:
                    if not is_trouble(error):
                        raise
                    pause_s = backoff.next_s()
                    log.warning("the database is to be looked at, waiting", error=told(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause_s)

    def terminate(self) -> None:
        self.connection.terminate()

    async def _renew(self, look: Look) -> None:
        connection, seen = await _present(self.url, self.service)
        try:
            await in_time(look(connection), LOOKED_WITHIN_S, _never_ends())
        except BaseException:
            connection.terminate()
            raise
        self.connection.terminate()
        self.connection, self.seen, self.lost = connection, seen, False
        connection.add_termination_listener(self._gone)
        log.info("the database was looked at", started_at=seen.started_at.isoformat())

    def _gone(self, connection: Any) -> None:
        if connection is self.connection:
            self.lost = True


def _never_ends() -> ClientStuck:
    return ClientStuck(
        f"the topics were not read within {LOOKED_WITHIN_S:.0f} s, and so the database was not looked at",
        hint="start this process again",
    )


async def enter(url: str, service: Service) -> Presence:
    """From now on this process works on this service's database; `terminate` ends that. Raises BeingRecovered."""
    connection, seen = await _present(url, service)
    presence = Presence(url, service, connection, seen)
    connection.add_termination_listener(presence._gone)
    return presence


async def _present(url: str, service: Service) -> tuple[asyncpg.Connection, Incarnation]:
    connection = await asyncpg.connect(
        url, server_settings={"application_name": f"salur-{service}-presence", "search_path": service}
    )
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock_shared($1, hashtext($2))", _LOCK_CLASS, service):
            raise BeingRecovered(f"`salur recover {service}` is at work", hint="the service starts when it is done")
        return connection, await _incarnation(connection)
    except BaseException:
        connection.terminate()
        raise


async def _incarnation(connection: asyncpg.Connection) -> Incarnation:
    row = await connection.fetchrow(
        "SELECT pg_postmaster_start_time(), oid FROM pg_database WHERE datname = current_database()"
    )
    assert row
    return Incarnation(*row)


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

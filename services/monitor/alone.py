"""One process counts; others that are started stand by, and take over when it is gone.

The rules look at all partitions together, so counts that are spread over processes would be judged in part.
"""

import asyncio
from contextlib import suppress
from typing import Final

import asyncpg
import structlog

from shared.errors import Trouble

log = structlog.get_logger()

_LOCK_CLASS: Final = 0x5A3
_LOOK_S: Final = 1.0


class NotAlone(Trouble):
    """The database connection that says that this process counts is gone: another may have begun."""


async def alone(url: str, stopping: asyncio.Event) -> asyncpg.Connection | None:
    """A connection that keeps others out for as long as it is open. None where it is told to stop before."""
    connection = await asyncpg.connect(url, server_settings={"application_name": "salur-monitor-alone"})
    said = False
    while not stopping.is_set():
        if await connection.fetchval("SELECT pg_try_advisory_lock($1, hashtext('monitor'))", _LOCK_CLASS):
            return connection
        if not said:
            log.info("another process counts; this one stands by")
            said = True
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _LOOK_S)
    await connection.close()
    return None


async def stays_alone(connection: asyncpg.Connection, stopping: asyncio.Event) -> None:
    """Returns when told to stop. Raises NotAlone as soon as the connection is lost."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    waits = [asyncio.create_task(stopping.wait()), asyncio.create_task(lost.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in waits:
        task.cancel()
    if not stopping.is_set():
        raise NotAlone("the connection that keeps others from counting was lost", hint="the process starts anew")

"""A database that comes back in another run of its server is looked at before anything is done there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import asyncpg
import pytest

from salur.stack.postgres import EmbeddedPostgres
from shared.errors import Trouble
from shared.postgres import migrate, open_pool
from shared.runtime import presence
from shared.runtime.client import ClientStuck
from shared.runtime.presence import DatabaseUnseen, Presence
from shared.runtime.tail import DatabaseOlderThanTopic
from tests.stack import new_home

SERVICE = "eligibility"


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """Its own: it is started anew on the way, always at the same address."""
    server = EmbeddedPostgres(new_home())
    yield server
    server.stop()


@pytest.fixture
async def url(server: EmbeddedPostgres) -> str:
    url = str(server.start())
    await migrate(url, SERVICE)
    return url


@pytest.fixture
async def present(url: str) -> AsyncIterator[Presence]:
    present = await presence.enter(url, SERVICE)
    yield present
    present.terminate()


async def again(server: EmbeddedPostgres, url: str) -> None:
    await asyncio.to_thread(server.stop)
    assert str(await asyncio.to_thread(server.start)) == url


async def looked_at(present: Presence) -> None:
    async with asyncio.timeout(20):
        while present.lost:
            await asyncio.sleep(0.05)


async def test_nothing_is_done_on_a_database_that_was_started_anew_until_it_was_looked_at(
    server: EmbeddedPostgres, url: str, present: Presence
) -> None:
    looks: list[int] = []
    allowed = asyncio.Event()

    async def look(connection: asyncpg.Connection) -> None:
        looks.append(await connection.fetchval("SELECT count(*) FROM output_position"))
        if not allowed.is_set():
            raise Trouble("the broker is away")

    pool = await open_pool(url, SERVICE, admit=present.admit)
    stopping = asyncio.Event()
    keeping = asyncio.create_task(present.keep(look, stopping))
    assert await pool.fetchval("SELECT 1") == 1
    assert not present.lost
    await again(server, url)
    with pytest.raises(DatabaseUnseen):
        await pool.fetchval("SELECT 1")
    while not looks:
        await asyncio.sleep(0.05)
    with pytest.raises(DatabaseUnseen):
        await pool.fetchval("SELECT 1")
    allowed.set()
    await looked_at(present)
    assert await pool.fetchval("SELECT 1") == 1
    stopping.set()
    await keeping
    assert looks == [0] * len(looks)
    pool.terminate()


async def test_an_older_database_ends_the_process(server: EmbeddedPostgres, url: str, present: Presence) -> None:
    async def look(connection: asyncpg.Connection) -> None:
        raise DatabaseOlderThanTopic("restored")

    keeping = asyncio.create_task(present.keep(look, asyncio.Event()))
    await again(server, url)
    with pytest.raises(DatabaseOlderThanTopic):
        await asyncio.wait_for(keeping, 20)
    assert present.lost


async def test_a_look_that_never_ends_ends_the_process(
    server: EmbeddedPostgres, url: str, present: Presence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chaos run: the broker was killed while payout looked, Kafka's client waited for ever, and the officers heard
    for as long that the database was not yet looked at. Such a client need not end when it is cancelled."""
    looks, released = 0, asyncio.Event()

    async def look(connection: asyncpg.Connection) -> None:
        nonlocal looks
        looks += 1
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    monkeypatch.setattr(presence, "LOOKED_WITHIN_S", 0.5)
    keeping = asyncio.create_task(present.keep(look, asyncio.Event()))
    await again(server, url)
    with pytest.raises(ClientStuck):
        await asyncio.wait_for(keeping, 20)
    released.set()
    assert (looks, present.lost) == (1, True)


async def test_a_lock_that_was_lost_alone_is_taken_again(url: str, present: Presence) -> None:
    looked = asyncio.Event()

    async def look(connection: asyncpg.Connection) -> None:
        looked.set()

    stopping = asyncio.Event()
    keeping = asyncio.create_task(present.keep(look, stopping))
    owner = await asyncpg.connect(url)
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'salur-eligibility-presence'"
    )
    await asyncio.wait_for(looked.wait(), 20)
    await looked_at(present)
    assert await owner.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 1
    stopping.set()
    await keeping
    await owner.close()

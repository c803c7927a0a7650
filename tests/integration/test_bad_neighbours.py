"""Database, broker and topics misbehave: the stage says what is wrong, loses nothing, and goes on when it can."""

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from salur.stack.postgres import EmbeddedPostgres
from shared.brokers import MESSAGE_BYTES_MAX
from shared.events import EligibilityDecided
from shared.events.codec import encode
from shared.events.topics import replay_topic
from shared.kafka import admin, ensure_topics
from shared.privacy.keyring import Keyring
from shared.runtime.loop import InputLost
from shared.settings import ServiceSettings
from tests.integration import toy as toys
from tests.integration.toy import Running, Toy, accepted, feed, registrations, rows, until
from tests.integration.toy import running as running_toy

INPUT, OUTPUT = "recipient.registered", "eligibility.decided"


@pytest.fixture
async def settings(kafka: str, database: str, tmp_path: Path) -> ServiceSettings:
    return await toys.fresh(kafka, database, tmp_path)


@pytest.fixture
def keyring(settings: ServiceSettings) -> Keyring:
    return Keyring.load(settings.keys)


async def handled(settings: ServiceSettings, count: int, timeout_s: float = 30) -> None:
    async def done() -> bool:
        return len(await rows(settings)) == count

    await until(done, timeout_s)


async def waits(process: Running, word: str) -> None:
    async def told() -> bool:
        return word in f"{process.loop.trouble} {process.publisher.trouble}"

    await until(told)


async def execute(settings: ServiceSettings, statement: str) -> None:
    connection = await asyncpg.connect(settings.url("eligibility"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("table", ["toy", "outbox", "input_position"])
async def test_a_full_tablespace_is_waited_out(settings: ServiceSettings, keyring: Keyring, table: str) -> None:
    """Error 53100 from any of the statements of a turn, as PostgreSQL raises it: no message is poison for that."""
    await execute(
        settings,
        f"""
        CREATE FUNCTION eligibility.full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON eligibility.{table}
            FOR EACH ROW EXECUTE FUNCTION eligibility.full_disk();
        """,
    )
    await feed(settings, registrations(200))
    async with running_toy(settings, Toy(), keyring) as process:
        await waits(process, "DiskFullError")
        assert await rows(settings) == {}
        await execute(settings, "DROP FUNCTION eligibility.full_disk CASCADE")
        await handled(settings, 200)
        await process.stop()
    assert len(await accepted(settings, OUTPUT, EligibilityDecided)) == 200


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own with 400 MB."""
    folder = Path(tempfile.mkdtemp(prefix="salur-small-disk-"))
    options = ("-t", "tmpfs", "-o", "size=400m,mode=755", "tmpfs", str(folder))
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@pytest.fixture
async def on_small_disk(
    kafka: str, small_disk: Path, tmp_path: Path
) -> AsyncIterator[tuple[ServiceSettings, EmbeddedPostgres]]:
    server = EmbeddedPostgres(small_disk / "home", settings={"max_wal_size": "64MB", "min_wal_size": "32MB"})
    try:
        yield await toys.fresh(kafka, str(server.start()), tmp_path), server
    finally:
        server.stop()


async def test_a_full_disk_is_waited_out(
    on_small_disk: tuple[ServiceSettings, EmbeddedPostgres], small_disk: Path
) -> None:
    """The real thing: PostgreSQL may even end itself when it cannot write its log, and is started again."""
    settings, server = on_small_disk
    filler = small_disk / "filler"
    await feed(settings, registrations(6_000))
    async with running_toy(settings, Toy(), Keyring.load(settings.keys)) as process:
        await handled(settings, 6_000, 60)
        free = os.statvfs(small_disk)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
        await put_many(settings)
        await waits(process, "Error")
        filler.unlink()
        server.start()  # as the supervisor does
        await handled(settings, 8_000, 90)
        await process.stop()
    assert len(await accepted(settings, OUTPUT, EligibilityDecided)) == 8_000


async def put_many(settings: ServiceSettings) -> None:
    """Without the database, which has no room for an outbox now."""
    async with AIOKafkaProducer(**settings.client_options()) as producer:
        for event in registrations(2_000, 6_000):
            await producer.send(replay_topic("eligibility"), encode(event))
        await producer.flush()


async def ends_with_input_lost(process: Running, words: str) -> None:
    async def ended() -> bool:
        return process.tasks[0].done()

    await until(ended)
    with pytest.raises(InputLost, match=words) as raised:
        process.tasks[0].result()
    assert "deleted" in raised.value.hint


async def test_a_deleted_topic_ends_the_service_in_words(settings: ServiceSettings, keyring: Keyring) -> None:
    """Also when it is started again and finds the topic, made anew and empty: what was in it is known to be lost."""
    await feed(settings, registrations(50))
    async with running_toy(settings, Toy(), keyring) as process:
        await handled(settings, 50)
        async with admin(settings) as client:
            await client.delete_topics([INPUT])
        await ends_with_input_lost(process, f"no topic {INPUT} any more")
    await ensure_topics(settings, [INPUT])
    async with running_toy(settings, Toy(), keyring) as again:
        await ends_with_input_lost(again, rf"{INPUT}/\d holds offsets 0 to 0, this service reads on at \d+")
    assert len(await rows(settings)) == 50


async def test_a_topic_that_takes_too_little_is_named_and_waited_for(
    settings: ServiceSettings, keyring: Keyring
) -> None:
    await limit(settings, OUTPUT, 2_000)
    await feed(settings, registrations(300))
    async with running_toy(settings, Toy(), keyring) as process:
        await waits(process, f"the topic {OUTPUT} takes no batch of")
        assert "`salur topics check`" in str(process.publisher.trouble)
        await handled(settings, 300)
        await limit(settings, OUTPUT, MESSAGE_BYTES_MAX)

        async def published() -> bool:
            return process.publisher.trouble is None

        await until(published)
        await process.stop()
    assert len(await accepted(settings, OUTPUT, EligibilityDecided)) == 300


async def limit(settings: ServiceSettings, topic: str, size: int) -> None:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})
    async with admin(settings) as client:
        await client.alter_configs([resource])

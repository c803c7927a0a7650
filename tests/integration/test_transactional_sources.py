"""A source may write in transactions of Kafka: their markers are no messages, and may be forgotten by Kafka."""

from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from shared.events.codec import encode
from shared.events.topics import replay_topic
from shared.kafka import admin
from shared.privacy.keyring import Keyring
from shared.runtime import loop
from shared.settings import ServiceSettings
from tests.integration import toy as toys
from tests.integration.test_runtime import all_handled
from tests.integration.toy import Toy, registrations, rows, running, until

TOPIC = replay_topic("eligibility")


@pytest.fixture
async def settings(kafka: str, database: str, tmp_path: Path) -> ServiceSettings:
    return await toys.fresh(kafka, database, tmp_path)


async def position(settings: ServiceSettings) -> int:
    connection = await asyncpg.connect(settings.url("eligibility"), server_settings={"search_path": "eligibility"})
    try:
        found: int = await connection.fetchval(
            "SELECT next_offset FROM input_position WHERE topic = $1 AND partition = 0", TOPIC
        )
        return found
    finally:
        await connection.close()


@pytest.mark.parametrize("taken_back", [False, True], ids=["committed", "and one taken back"])
async def test_a_quiet_topic_whose_last_marker_is_forgotten_is_read_on(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch, taken_back: bool
) -> None:
    monkeypatch.setattr(loop, "PASSED_LOOK_S", 0.2)
    keyring, (event, later) = Keyring.load(settings.keys), registrations(2)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id="a source") as source:
        async with source.transaction():
            await source.send_and_wait(TOPIC, encode(event), partition=0)
        if taken_back:
            await source.begin_transaction()
            await source.send_and_wait(TOPIC, b"taken back", partition=0)
            await source.abort_transaction()
    end = 4 if taken_back else 2

    async def passed() -> bool:
        return await position(settings) == end

    async with running(settings, Toy(), keyring):
        await all_handled(settings, 1)
        await until(passed)
    async with admin(settings) as client:  # as the topic's retention does
        await client.delete_records({TopicPartition(TOPIC, 0): RecordsToDelete(before_offset=end)})
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as source:
        await source.send_and_wait(TOPIC, encode(later), partition=0)
    async with running(settings, Toy(), keyring):
        await all_handled(settings, 2)
        assert set(await rows(settings)) == {event.subject, later.subject}

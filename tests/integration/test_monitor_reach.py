"""What Kafka itself says of a message that the monitor's reader never gives."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import KafkaTimeoutError

from services.monitor.intake import Reach
from shared import kafka as kafka_clients
from shared.clock import now
from shared.events import RegistrationSubmitted
from shared.kafka import ensure_topics
from shared.runtime.patience import patiently
from shared.settings import KafkaSettings
from tests.integration.stuck import never
from tests.integration.toy import settings_for


async def test_a_message_is_held_or_was_deleted_or_was_never_one(kafka: str) -> None:
    place = TopicPartition(f"reach-{uuid4().hex}", 0)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    reach = Reach(KafkaSettings(kafka=kafka))
    try:
        await admin.create_topics([NewTopic(place.topic, 1, 1)])
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            for _ in range(3):
                await producer.send_and_wait(place.topic, b"{}", partition=0)
        foreign = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=uuid4().hex)
        async with foreign, foreign.transaction():
            await foreign.send_and_wait(place.topic, b"{}", partition=0)  # offset 3
        while (await reach.ends([place.topic], 1))[place] < 5:  # 4 says where the transaction ends
            await asyncio.sleep(0.05)
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            await producer.send_and_wait(place.topic, b"{}", partition=0)
        assert [await reach.first(place, offset) for offset in (0, 2, 3, 4, 5)] == [0, 2, 3, 5, 5]
        assert await reach.first(place, 6) is None
        await admin.delete_records({place: RecordsToDelete(before_offset=2)})
        assert await reach.first(place, 0) == 2
        assert await reach.ends([place.topic], 1) == {place: 6}
    finally:
        await reach.close()
        await admin.close()


@pytest.mark.parametrize(
    ("client", "method"),
    [
        (AIOKafkaConsumer, "end_offsets"),
        (AIOKafkaConsumer, "beginning_offsets"),
        (AIOKafkaConsumer, "topics"),
        (AIOKafkaConsumer, "offsets_for_times"),
        (AIOKafkaAdminClient, "list_consumer_group_offsets"),
    ],
)
async def test_a_client_that_never_comes_back_is_replaced(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Any, method: str
) -> None:
    hung: list[Any] = []
    settings = settings_for(kafka, "postgresql://none", tmp_path)
    place = TopicPartition(f"{RegistrationSubmitted.TYPE}.dinsos", 0)
    await ensure_topics(settings, [place.topic])
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        await producer.send_and_wait(place.topic, b"{}", partition=0)
    reach = Reach(settings)

    async def all_questions() -> None:
        assert (await reach.ends([place.topic], 1))[place] > 0
        assert place in await reach.begin([place.topic], 1)
        await reach.panes(int(now().timestamp()) // 60 * 60)

    try:
        await patiently(all_questions)  # Kafka has no coordinator before the first group
        monkeypatch.setattr(kafka_clients, "WITHIN_S", 0.5)
        monkeypatch.setattr(client, method, never(hung, getattr(client, method)))
        reach._offsets.clear()
        with pytest.raises(KafkaTimeoutError):
            await all_questions()
        assert hung
        monkeypatch.setattr(kafka_clients, "WITHIN_S", 60.0)
        await all_questions()
    finally:
        await reach.close()

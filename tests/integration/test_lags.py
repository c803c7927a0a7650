"""How far services are behind, asked of a real Kafka with all topics of the flow."""

from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher

from salur.stack.lag import lags
from shared.events.topics import FLOW_TOPICS
from shared.settings import KafkaSettings, ServiceSettings
from tests.integration.toy import empty_topics, put, settings_for

READ = sorted(FLOW_TOPICS)[:12]
OFFSETS_ASKED_MAX = 6
"""For each topic whose leaders the client does not know it asks once in vain, and waits a tenth of a second."""


@pytest.fixture
async def settings(kafka: str, tmp_path: Path) -> ServiceSettings:
    settings = settings_for(kafka, "postgresql://none", tmp_path / "keys.json")
    await empty_topics(settings, READ)
    return settings


async def commit(settings: ServiceSettings, service: str, offset: int) -> None:
    consumer = AIOKafkaConsumer(**settings.client_options(), group_id=f"salur-{service}", enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, partition) for topic in READ for partition in range(settings.partitions)]
        consumer.assign(places)
        await consumer.commit(dict.fromkeys(places, offset))
    finally:
        await consumer.stop()


async def test_what_was_not_committed_counts_and_leaders_are_asked_for_at_once(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    ask = Fetcher._proc_offset_requests

    async def counted(fetcher: Fetcher, *arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return await ask(fetcher, *arguments)

    for topic, partition in ((READ[0], 0), (READ[0], 3), (READ[-1], 7)):
        await put(settings, topic, partition, b"{}")
    await commit(settings, "lag-of-all", 0)
    await commit(settings, "lag-beyond", 99)
    monkeypatch.setattr(Fetcher, "_proc_offset_requests", counted)
    found = await lags(settings, ["lag-of-all", "lag-beyond", "lag-of-nobody"], timeout_s=60)
    assert found == {"lag-of-all": 3, "lag-beyond": 0, "lag-of-nobody": None}
    assert asked <= OFFSETS_ASKED_MAX


async def test_nobody_knows_while_kafka_is_away(settings: ServiceSettings) -> None:
    away = KafkaSettings(kafka="127.0.0.1:1")
    assert await lags(away, ["registry"], timeout_s=0.5) == {"registry": None}

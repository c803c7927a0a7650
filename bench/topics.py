"""Topics of a bench, new and empty, and used only once each partition has a leader that answers.

A topic that was just made is refused for a moment by the broker that will lead it, and every client says so on its own.
"""

from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.kafka import admin, ensure_topics
from shared.settings import KafkaSettings
from tests.integration.toy import until


async def make_empty(settings: KafkaSettings, names: Collection[str]) -> None:
    """Removes these topics where they are there, and makes them anew."""

    async def gone() -> bool:
        return not set(names) & set(await client.list_topics())

    async def led() -> bool:
        return all(map(_is_led, await client.describe_topics(sorted(names))))

    async with admin(settings) as client:
        if old := set(names) & set(await client.list_topics()):
            await client.delete_topics(sorted(old))
            await until(gone)
        await ensure_topics(settings, names)
        await until(led)
    await _answers(settings, names)


def _is_led(topic: dict[str, object]) -> bool:
    partitions = topic["partitions"]
    assert isinstance(partitions, list)
    return bool(partitions) and all(p["error_code"] == 0 and p["leader"] >= 0 for p in partitions)


async def _answers(settings: KafkaSettings, names: Collection[str]) -> None:
    """Asks for the end of each partition, again and again until its leader answers."""
    consumer = AIOKafkaConsumer(**settings.client_options())
    await consumer.start()
    try:
        await consumer.end_offsets([TopicPartition(n, p) for n in names for p in range(settings.partitions)])
    finally:
        await consumer.stop()

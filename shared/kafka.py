"""Topics: made from the table in `shared.events.topics`, all of the flow with the same number of partitions."""

from collections.abc import Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.errors import SalurError
from shared.events.topics import topic_named
from shared.settings import KafkaSettings


class PartitionsDiffer(SalurError):
    """Topics of one flow must have the same number of partitions."""


@asynccontextmanager
async def admin(settings: KafkaSettings) -> Any:
    client = AIOKafkaAdminClient(**settings.client_options())
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def ensure_topics(settings: KafkaSettings, names: Iterable[str]) -> int:
    """Creates the topics that are missing and returns the number of partitions of all.

    Raises PartitionsDiffer when they are not the same everywhere. Any number of processes may do this at once.
    """
    wanted = sorted(set(names))
    async with admin(settings) as client:
        known = set(await client.list_topics())
        missing = [name for name in wanted if name not in known]
        if missing:
            await client.create_topics([_new_topic(name, settings) for name in missing])
        while True:
            described = {t["topic"]: t for t in await client.describe_topics(wanted)}
            counts = {name: len(t["partitions"]) for name, t in described.items() if t["error_code"] == 0}
            if len(counts) == len(wanted):
                break
    if len(set(counts.values())) != 1:
        raise PartitionsDiffer(f"topics differ in their number of partitions: {counts}; recreate the odd ones")
    return next(iter(counts.values()))


def _new_topic(name: str, settings: KafkaSettings) -> NewTopic:
    topic = topic_named(name)
    return NewTopic(
        name,
        settings.partitions,
        settings.replication,
        topic_configs={"retention.ms": str(topic.retention_ms), "message.timestamp.type": "CreateTime"},
    )

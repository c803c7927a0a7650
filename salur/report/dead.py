"""What lies in the services' dead letters: set apart with a reason, so not lost."""

from collections.abc import Iterable
from typing import NamedTuple

import orjson
from aiokafka import TopicPartition

from salur.inside.connect import consumer
from shared.events.topics import STAGES, Service, dead_letter_topic
from shared.reading import extents, is_unreadable, partitions_of, read
from shared.settings import KafkaSettings


class Dead(NamedTuple):
    """`about`: recipients (or places, where no recipient was known) by service; `origins`: topic, partition, offset."""

    about: dict[Service, set[str]]
    origins: set[tuple[str, int, int]]


async def letters(settings: KafkaSettings, stages: Iterable[Service] = STAGES) -> Dead:
    """All dead letters of these services. They are few. Raises Away."""
    owners = {dead_letter_topic(stage): stage for stage in stages}
    counts = await partitions_of(settings, owners)
    found = Dead({stage: set() for stage in owners.values()}, set())
    async with consumer(settings) as client:
        places = [TopicPartition(topic, p) for topic, count in counts.items() for p in range(count)]
        async for tp, records in read(client, await extents(client, places)):
            for record in records:
                if is_unreadable(record):
                    continue  # the audit names it
                event = orjson.loads(record.value)
                origin = event["data"]["origin"]
                found.about[owners[tp.topic]].add(event["subject"])
                found.origins.add((origin["topic"], origin["partition"], origin["offset"]))
    return found

"""What lies in the services' dead letters: set apart with a reason, so not lost."""

from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import TopicPartition

from salur.inside.connect import consumer
from shared.events.topics import STAGES, Service, dead_letter_topic
from shared.reading import extents, partitions_of, read
from shared.runtime.letters import letter_in
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
                if letter := letter_in(owners[tp.topic], record):  # what is none is named by the audit
                    origin = letter.data.origin
                    found.about[owners[tp.topic]].add(letter.subject)
                    found.origins.add((origin.topic, origin.partition, origin.offset))
    return found

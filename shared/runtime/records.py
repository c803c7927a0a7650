"""From Kafka's records to messages, also from one that the client cannot read."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from shared.events.topics import topic_named
from shared.kafka import in_time
from shared.reading import sequence_of
from shared.runtime.positions import Place, Position
from shared.runtime.stage import Message

SEARCH_S = 10.0


def message_of(record: ConsumerRecord, decoded: Any = None) -> Message:
    sequence = sequence_of(record) if topic_named(record.topic).sequenced else None
    key, value = record.key, record.value
    return Message(record.topic, record.partition, record.offset, sequence, key, value, record.timestamp, decoded)


async def up_to_unreadable(
    consumer: AIOKafkaConsumer, positions: Mapping[Place, Position], messages_max: int
) -> list[Message]:
    """The messages of one partition up to one whose header has a key that is no UTF-8; that one without key and value.

    aiokafka fails on such a record, does not say where it stands, and forgets what it read before it; so all
    partitions are read anew from their positions, one record at a time. The caller seeks anew afterwards. May take
    seconds. Where none is met in that time it is what was found in one partition, so that the next search begins nearer
    to it, however much stands before it.
    """
    found: dict[TopicPartition, list[Message]] = {}
    for place, position in positions.items():
        found[TopicPartition(*place)] = []
        consumer.seek(TopicPartition(*place), position.offset)
    until = monotonic() + SEARCH_S
    while monotonic() < until:
        for place, messages in found.items():
            if len(messages) >= messages_max:
                return messages
            try:
                for records in (await in_time(consumer.getmany(place, timeout_ms=0, max_records=1))).values():
                    messages += map(message_of, records)
            except UnicodeDecodeError:
                at = await in_time(consumer.position(place))
                return [*messages, Message(place.topic, place.partition, at, None, None, None, 0)]
        await asyncio.sleep(0)
    return max(found.values(), key=len, default=[])

"""What happened to one recipient, from the topics: one partition of each, filtered by key before anything is parsed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from pydantic import BaseModel, Field

from salur.inside.connect import Settings, consumer
from shared.events.topics import FLOW_TOPICS
from shared.partition import partition_of
from shared.privacy.sealed import is_key_id, shown
from shared.reading import extents, partitions_of, read, sequence_of


class Step(BaseModel):
    """One event about the recipient. Sealed values are shown as `<sealed KEYID 123 B>`."""

    at: datetime
    type: str
    id: str
    cause: str | None
    """id of the event or submission that caused it"""
    submission: str | None
    """id of the submission, or of the officer's act, that everything began with"""
    trace: str | None
    """trace id of its `traceparent`: the same from a submission to the last message about it"""
    topic: str
    partition: int
    offset: int
    sequence: int | None
    data: dict[str, Any] = Field(default_factory=dict)


class Story(BaseModel):
    """All steps, by time."""

    recipient: str
    steps: list[Step]
    unreadable: int = 0
    """messages with this key that are no events; `salur audit verify` names them"""


async def story_of(settings: Settings, recipient: str) -> Story:
    """Reads the recipient's partition of every topic of the flow. Raises Away."""
    key = recipient.encode()
    counts = await partitions_of(settings, FLOW_TOPICS)
    story = Story(recipient=recipient, steps=[])
    async with consumer(settings, max_partition_fetch_bytes=4 * 1024 * 1024) as client:
        places = [TopicPartition(topic, partition_of(key, n)) for topic, n in counts.items()]
        seen: set[tuple[str, int]] = set()
        async for tp, records in read(client, await extents(client, places)):
            for record in records:
                if record.key != key:
                    continue
                sequence = sequence_of(record) if FLOW_TOPICS[tp.topic].sequenced else None
                if sequence is not None and (tp.topic, sequence) in seen:
                    continue  # a re-publication
                if sequence is not None:
                    seen.add((tp.topic, sequence))
                step = _step(tp, record, sequence)
                if step is None:
                    story.unreadable += 1
                else:
                    story.steps.append(step)
    story.steps = in_order(story.steps)
    return story


def in_order(steps: Sequence[Step]) -> list[Step]:
    """By time; what has the same time in the order of the stages, then of sequences."""
    stages = {topic: place for place, topic in enumerate(FLOW_TOPICS)}
    return sorted(steps, key=lambda step: (step.at, stages[step.topic], step.sequence or step.offset))


def _step(tp: TopicPartition, record: ConsumerRecord, sequence: int | None) -> Step | None:
    try:
        event = orjson.loads(record.value or b"")
        return Step(
            at=datetime.fromisoformat(event["time"]),
            type=event["type"],
            id=event["id"],
            cause=event.get("causationid"),
            submission=event.get("correlationid"),
            trace=trace_id(event.get("traceparent")),
            topic=tp.topic,
            partition=tp.partition,
            offset=record.offset,
            sequence=sequence,
            data=_masked(event["data"]),
        )
    except (ValueError, LookupError, TypeError):
        return None


def trace_id(traceparent: object) -> str | None:
    """The part of a W3C `traceparent` that all events of one story share."""
    parts = traceparent.split("-") if isinstance(traceparent, str) else []
    return parts[1] if len(parts) == 4 else None


def _masked(value: Any) -> Any:
    """Sealed values as people may see them."""
    if isinstance(value, dict):
        if value.keys() >= {"key_id", "enc", "ciphertext"}:
            return "<sealed submission>"
        return {name: _masked(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_masked(part) for part in value]
    if isinstance(value, str) and is_key_id(value.partition(".")[0]) and "." in value:
        return shown(value)
    return value

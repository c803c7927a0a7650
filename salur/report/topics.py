"""One pass over the topics: submissions and their answers, and when everything happened."""

from typing import NamedTuple

from aiokafka import TopicPartition

from salur.inside.connect import consumer
from salur.report import answers
from salur.report.moments import TOPICS, Moments, Partition, fresh
from salur.report.scratch import Scratch
from shared.kafka import admin, in_time
from shared.reading import extents, partitions_of, read
from shared.settings import KafkaSettings

_FLOW = tuple(dict.fromkeys((*TOPICS, *answers.ANSWER_TOPICS)))
_FETCH_BYTES = 4 * 1024 * 1024


class Passed(NamedTuple):
    """`intake`: names of the intake topics, by their number in the scratch file."""

    moments: Moments
    intake: list[str]


async def read_topics(settings: KafkaSettings, scratch: Scratch) -> Passed:
    """Everything that is on them now; the rest of a partition is forgotten before the next one. Raises Away."""
    async with admin(settings) as client:
        intake = answers.intake_topics(await in_time(client.list_topics()))
    partitions = await partitions_of(settings, (*intake, *_FLOW))
    moments = Moments()
    async with consumer(settings, max_partition_fetch_bytes=_FETCH_BYTES) as client:
        for place, topic in enumerate(intake):
            places = [TopicPartition(topic, number) for number in range(partitions.get(topic, 0))]
            async for tp, records in read(client, await extents(client, places)):
                answers.note_sent(scratch, place, tp, records)
        for number in range(max((partitions.get(topic, 0) for topic in _FLOW), default=0)):
            partition = Partition(moments)
            expected = dict.fromkeys(_FLOW, 0)
            places = [TopicPartition(topic, number) for topic in _FLOW if number < partitions.get(topic, 0)]
            async for tp, records in read(client, await extents(client, places)):
                values, expected[tp.topic] = fresh(records, expected[tp.topic])
                if tp.topic in answers.ANSWER_TOPICS:
                    answers.note_answers(scratch, values)
                if tp.topic in TOPICS:
                    partition.take(tp.topic, values)
            partition.settle()
    return Passed(moments, intake)

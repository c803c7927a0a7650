"""Where the topics end: whoever concludes anything from what the read model lacks must have read up to there."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

from aiokafka import TopicPartition

from shared import clock
from shared.reading import consumer, extents
from shared.runtime.emit import Outbox
from shared.runtime.positions import Place
from shared.settings import KafkaSettings

_KEPT: Final = timedelta(seconds=2)
"""So long an answer is given again: many may ask, and each look opens a client."""


class Ends(NamedTuple):
    """The offset after the last message of each partition, as of a moment."""

    at: datetime
    offsets: Mapping[Place, int]

    def columns(self) -> tuple[list[str], list[int], list[int]]:
        """Topics, partitions and offsets, for a statement."""
        places = list(self.offsets)
        return [p.topic for p in places], [p.partition for p in places], list(self.offsets.values())


AskEnds: TypeAlias = Callable[[], Awaitable[Ends]]


def ends_of(
    kafka: KafkaSettings, outbox: Outbox, topics: Sequence[str], now: Callable[[], datetime] = clock.now
) -> AskEnds:
    """Asks Kafka where these topics end, of all partitions of the flow; `at` is before the answer. Raises Away."""
    held: list[Ends] = []

    async def ask() -> Ends:
        at = now()
        if held and timedelta(0) <= at - held[-1].at < _KEPT:
            return held[-1]
        places = [TopicPartition(topic, number) for topic in topics for number in range(outbox.partitions)]
        async with consumer(kafka) as client:
            found = await extents(client, places)
        held[:] = [Ends(at, {Place(*tp): extent.end for tp, extent in found.items()})]
        return held[-1]

    return ask

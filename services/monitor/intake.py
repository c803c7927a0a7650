"""What sources and operators write is not read here, only how far their topics reached at each minute.

Kafka knows the offset at any time of its own clock, so these counts need no memory, nothing in them can count twice,
and nothing that a source writes can harm the monitor.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from services.monitor.domain.counting import MINUTE_S
from services.monitor.domain.snapshot import Pane
from shared import reading
from shared.events.topics import FLOW_TOPICS, INTAKE_MODELS, MONITOR_GROUP
from shared.kafka import CLOSED_WITHIN_S, admin, in_time, start
from shared.settings import KafkaSettings

T = TypeVar("T")
KEPT_MINUTES: Final = 90
_LOOK_MINUTES: Final = 15
"""How far back is looked after a start."""
_GIVES_WITHIN_MS: Final = 2_000


@dataclass(slots=True)
class Reach:
    """How far Kafka's partitions reach, asked through one client until that does not come back, then through another.

    Every method raises trouble where Kafka is away.
    """

    settings: KafkaSettings
    _consumer: AIOKafkaConsumer | None = None
    _offsets: dict[int, Mapping[TopicPartition, int]] = field(default_factory=dict)

    async def ends(self, topics: Iterable[str], partitions: int) -> Mapping[TopicPartition, int]:
        places = [TopicPartition(topic, p) for topic in topics for p in range(partitions)]
        ends: Mapping[TopicPartition, int] = await self._ask(lambda consumer: consumer.end_offsets(places))
        return ends

    async def first(self, place: TopicPartition, offset: int) -> int | None:
        """Offset of the first message that Kafka holds from this one on; None where it gives none now."""
        async with reading.consumer(self.settings) as client:
            extent = (await reading.extents(client, [place]))[place].at_or_after(offset)
            if extent.messages <= 0:
                return None
            client.assign([place])
            client.seek(place, extent.start)
            try:
                polled = await client.getmany(place, timeout_ms=_GIVES_WITHIN_MS, max_records=1)
            except UnicodeDecodeError:  # it is there, and cannot be read: the reader meets it as well
                return offset
        found: list[int] = [record.offset for records in polled.values() for record in records]
        return found[0] if found else None

    async def begin(self, topics: Iterable[str], partitions: int) -> dict[TopicPartition, int]:
        """Where the monitor goes on: its committed offsets, and the beginning of what it never counted."""
        places = [TopicPartition(topic, p) for topic in topics for p in range(partitions)]
        starts = await self._ask(lambda consumer: consumer.beginning_offsets(places))
        return {**starts, **{tp: at for tp, at in (await self._committed()).items() if tp in starts}}

    async def _committed(self) -> dict[TopicPartition, int]:
        async with admin(self.settings) as client:
            found = await in_time(client.list_consumer_group_offsets(MONITOR_GROUP))
            return {tp: meta.offset for tp, meta in found.items() if meta.offset >= 0}

    async def panes(self, until_s: int) -> list[Pane]:
        """Messages of each minute before `until_s` by Kafka's own time, of intake and replay topics."""
        names = sorted(filter(_from_outside, await self._ask(lambda consumer: consumer.topics())))
        consumer = await self._open()
        places = [TopicPartition(name, p) for name in names for p in consumer.partitions_for_topic(name) or ()]
        for minute in range(until_s - _LOOK_MINUTES * MINUTE_S, until_s + 1, MINUTE_S):
            known = self._offsets.get(minute)
            if known is None or known.keys() != set(places):
                self._offsets[minute] = await self._at(places, minute)
        for minute in [m for m in self._offsets if m < until_s - KEPT_MINUTES * MINUTE_S]:
            del self._offsets[minute]
        return [
            Pane(minute, name, n=n)
            for minute, before in self._offsets.items()
            if (after := self._offsets.get(minute + MINUTE_S)) is not None
            for name in names
            if (n := sum(after[tp] - before.get(tp, after[tp]) for tp in after if tp.topic == name))
        ]

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer:
            with suppress(KafkaTimeoutError):  # it holds nothing that another one would wait for
                await in_time(consumer.stop(), CLOSED_WITHIN_S)

    async def _ask(self, question: Callable[[AIOKafkaConsumer], Awaitable[T]]) -> T:
        consumer = await self._open()
        try:
            return await in_time(question(consumer))
        except KafkaTimeoutError:
            await self.close()
            raise

    async def _open(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(**self.settings.client_options(), enable_auto_commit=False)
            try:
                await start(consumer, self.settings)
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer

    async def _at(self, places: list[TopicPartition], second: int) -> Mapping[TopicPartition, int]:
        """Offset of the first message at or after this second; the end where there is none."""
        if not places:
            return {}
        found = await self._ask(lambda consumer: consumer.offsets_for_times(dict.fromkeys(places, second * 1000)))
        open_ended = [tp for tp in places if found[tp] is None]
        ends = await self._ask(lambda consumer: consumer.end_offsets(open_ended)) if open_ended else {}
        return {tp: ends[tp] if (at := found[tp]) is None else at.offset for tp in places}


def _from_outside(name: str) -> bool:
    if topic := FLOW_TOPICS.get(name):
        return topic.owner is None
    return any(name.startswith(f"{model.TYPE}.") for model in INTAKE_MODELS)

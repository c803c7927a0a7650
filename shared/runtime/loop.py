"""The consumer loop of a stage: poll, screen, handle, and let the publisher do the rest.

Progress is in the database. Kafka's group only says which partitions this process may work on, and the offsets
committed there are for lag tools.
"""

import asyncio
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic, perf_counter, time
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared.errors import SalurError
from shared.events.topics import outputs_of
from shared.kafka import in_time, start
from shared.runtime import positions, resumption
from shared.runtime.ahead import AHEAD_FROM, POLL_MS, Polls
from shared.runtime.backoff import Backoff
from shared.runtime.breaker import BreakerOpen
from shared.runtime.client import Silence, closed, passed
from shared.runtime.failures import is_trouble, told
from shared.runtime.garbage import Rest
from shared.runtime.positions import NotOwner, Place
from shared.runtime.publisher import Publisher
from shared.runtime.records import up_to_unreadable
from shared.runtime.resumption import Resumptions
from shared.runtime.screening import Screened, screen
from shared.runtime.stage import Message
from shared.runtime.tail import refuse_restored_database
from shared.runtime.turn import Turn
from shared.settings import ServiceSettings
from shared.telemetry.metrics import (
    BATCH_MESSAGES,
    BATCH_SECONDS,
    BREAKER_OPEN,
    LAG_MESSAGES,
    LAG_SECONDS,
    REPUBLISHED,
    STOPPED,
    TROUBLES,
)

log = structlog.get_logger()

FETCH_BYTES = 8 * 1024 * 1024
"""What lies here unread of each broker, and so what one poll holds at most; the one before is here as well. A larger
message still comes, alone."""
PARTITION_FETCH_BYTES = 1024 * 1024
GATHER_S = 0.05
"""After a small batch the loop waits so long: a turn costs much the same for one message as for a hundred."""
SMALL_BATCH = 0.1
OFFSET_COMMIT_S = 1.0
DRAIN_S = 5.0
RESUMED_LOOK_S = 1.0
"""How often a loop that stands looks whether a person resumed it."""
MOVED_LOOK_S = 2.0
"""How often a loop without work looks whether its positions are still its own: a rebuild takes them back to the start,
and where nothing new comes nothing else would tell."""
PASSED_LOOK_S = 10.0
"""How often a loop without work looks whether its client stands behind something that is no message."""
TOPICS_LOOK_S = 10.0
TOPICS_AWAY_S = 5.0
"""A new topic is not known everywhere at once; one that is away so long is gone."""
SHARE_MIN = 1 / 64
"""How small a share of the usual batch is tried after trouble: a slow machine may not manage a full one in time."""


class InputLost(SalurError):
    """A topic no longer holds what this service has not yet read."""


class _Generation(ConsumerRebalanceListener):  # type: ignore[misc]
    """Counts rebalances; the loop sees that the number changed and takes its assignment anew."""

    def __init__(self) -> None:
        self.number = 0

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.number += 1

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.number += 1


@dataclass(slots=True)
class Loop:
    """Runs one stage until it is told to stop."""

    turn: Turn
    publisher: Publisher
    settings: ServiceSettings
    ready: bool = False
    trouble: str | None = None
    breaker_open: str | None = None
    stopped: dict[Place, str] = field(default_factory=dict)
    _polls: Polls = field(init=False)
    _generation: _Generation = field(default_factory=_Generation)
    _taken: int = -1
    _offsets_committed_at: float = 0.0
    _share: float = 1.0
    _rest: Rest = field(default_factory=Rest)
    _silence: Silence = field(default_factory=Silence)
    _resumed: Resumptions = field(default_factory=Resumptions)
    _resumed_look_at: float = 0.0
    _topics_look_at: float = 0.0
    _moved_look_at: float = 0.0
    _passed_look_at: float = 0.0
    _missing_since: float | None = None
    _lagging: set[Place] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._polls = Polls(self.turn.decode)

    @property
    def service(self) -> str:
        return self.turn.stage.service

    async def run(self, stopping: asyncio.Event) -> None:
        """Works through all trouble. Raises DatabaseOlderThanTopic and InputLost: then nothing may go on; and
        ClientStuck."""
        backoff = Backoff()
        while not stopping.is_set():
            try:
                await self._session(stopping, backoff)
            except Exception as error:
                if not is_trouble(error):
                    raise
                await self._wait_out(error, stopping, backoff)

    async def _session(self, stopping: asyncio.Event, backoff: Backoff) -> None:
        consumer = AIOKafkaConsumer(
            **self.settings.client_options(),
            group_id=f"salur-{self.service}",
            client_id=f"salur-{self.service}-{self.settings.instance}",
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            partition_assignment_strategy=[RangePartitionAssignor],
            session_timeout_ms=self.settings.session_timeout_ms,
            heartbeat_interval_ms=min(3_000, self.settings.session_timeout_ms // 3),
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            fetch_max_bytes=FETCH_BYTES,
            fetch_min_bytes=self.settings.fetch_bytes_min,
            fetch_max_wait_ms=self.settings.fetch_wait_ms,
        )
        self._taken, self._silence = -1, Silence()
        try:
            consumer.subscribe(list(self.turn.stage.topics), listener=self._generation)
            await start(consumer, self.settings)
            while not stopping.is_set():
                try:
                    handled = await self._once(consumer)
                    self._rest.now()
                    if handled:
                        backoff.reset()
                    if 0 < handled < SMALL_BATCH * self.settings.batch_messages_max:
                        await asyncio.sleep(GATHER_S)
                except Exception as error:
                    if isinstance(error, KafkaError) or not is_trouble(error):
                        raise
                    await self._wait_out(error, stopping, backoff)  # the group goes on: the partitions are kept
            with suppress(TimeoutError):
                await asyncio.wait_for(self.publisher.drain(), DRAIN_S)
        finally:
            self.ready = False
            self.publisher.own(frozenset())
            try:
                await self._polls.drop()
                with suppress(Exception):
                    await self._commit_offsets(consumer)
            finally:
                await closed(consumer)

    async def _wait_out(self, trouble: Exception, stopping: asyncio.Event, backoff: Backoff) -> None:
        """Then the positions are read anew, and a smaller batch is tried."""
        self.trouble, self._taken = told(trouble), -1
        self._share = max(SHARE_MIN, self._share / 2)
        TROUBLES.labels(self.service, "stage").inc()
        pause_s = backoff.next_s()
        log.warning("trouble, the stage waits", error=self.trouble, pause_s=round(pause_s, 2))
        self._rest.now()  # endpoints go on answering
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause_s)

    async def _once(self, consumer: AIOKafkaConsumer) -> int:
        """One poll and what follows from it. Returns how many messages it gave."""
        await self._look_whether_resumed()
        if self.turn.held and self.turn.awaited.over(self.turn.held.values()):
            self._taken = -1
        generation = self._generation.number
        if not await self._topics_are_there(consumer, anew=generation != self._taken):
            return 0
        if generation != self._taken:
            await self._take_assignment(consumer)
            self._taken = generation
            self.ready, self.trouble = True, None
        try:
            messages_max = max(1, int(self.settings.batch_messages_max * self._share))
            messages = await self._polls.next(consumer, messages_max)
        except NoOffsetForPartitionError:
            self._taken = -1
            return 0
        except UnicodeDecodeError:
            log.warning("a record has a header that cannot be read; it is looked for")
            messages = await up_to_unreadable(consumer, self.turn.positions, messages_max)
            self._taken = -1
        except OffsetOutOfRangeError as error:
            raise InputLost(
                f"Kafka no longer holds offset {error.args}", hint="was a topic deleted or shortened?"
            ) from error
        if self._generation.number != generation:
            return 0
        if len(messages) >= AHEAD_FROM * messages_max and self._taken == generation:
            self._polls.begin(consumer, messages_max)
        if messages:
            try:
                await self._handle(consumer, messages)
            except NotOwner:
                log.warning("another worker moved on, reading the positions anew")
                self._taken = -1
            except BreakerOpen as error:
                BREAKER_OPEN.labels(self.service).set(1)
                log.critical("breaker opened, the stage stands", reason=error.message, hint=error.hint)
                self.breaker_open = error.message
                self._resumed = await resumption.newest(self.turn.outbox.pool)
                await self._polls.drop()
                consumer.pause(*consumer.assignment())
        elif not self.breaker_open:
            self._caught_up()
            await self._look_whether_moved()
            await self._pass_what_is_no_message(consumer)
            await self._silence.look(consumer)
        if monotonic() - self._offsets_committed_at > OFFSET_COMMIT_S:
            await self._commit_offsets(consumer)
        return len(messages)

    async def _handle(self, consumer: AIOKafkaConsumer, messages: Sequence[Message]) -> None:
        started, held = perf_counter(), self.turn.held
        working = self.turn.positions.keys() - held.keys() - self.stopped.keys()
        screened = screen((m for m in messages if (m.topic, m.partition) in working), self.turn.positions)
        self._stop_at_gaps(consumer, screened)
        REPUBLISHED.labels(self.service).inc(screened.dropped)
        if screened.taken:
            await self.turn.handle(screened.taken)
        consumer.pause(*(TopicPartition(*place) for place in held if TopicPartition(*place) in consumer.assignment()))
        await self.turn.skip_to(screened.reached)
        self._share = min(1.0, self._share * 2)
        BATCH_MESSAGES.labels(self.service).observe(len(messages))
        BATCH_SECONDS.labels(self.service).observe(perf_counter() - started)
        self._measure_lag(consumer, messages)

    async def _topics_are_there(self, consumer: AIOKafkaConsumer, *, anew: bool) -> bool:
        """Looks at times, and before an assignment is taken. Raises InputLost for a topic that stays away.

        Kafka just takes a deleted topic out of the assignment, and nobody would see that its messages no longer come.
        """
        if not anew and self._missing_since is None and monotonic() < self._topics_look_at:
            return True
        self._topics_look_at = monotonic() + TOPICS_LOOK_S
        missing = sorted(set(self.turn.stage.topics) - await in_time(consumer.topics()))
        if not missing:
            self._missing_since = None
            return True
        if self._missing_since is None:
            self._missing_since = monotonic()
        if monotonic() - self._missing_since > TOPICS_AWAY_S:
            raise InputLost(
                f"Kafka has no topic {', '.join(missing)} any more, and this service reads it",
                hint="was it deleted, or may this service's user no longer DESCRIBE it? "
                "restore it before the service is started again, which would make it anew and empty",
            )
        await asyncio.sleep(POLL_MS / 1000)
        return False

    async def _look_whether_resumed(self) -> None:
        """Only while something stands. What stood at the last look and was resumed since is taken up anew."""
        if not (self.stopped or self.breaker_open) or monotonic() < self._resumed_look_at:
            return
        self._resumed_look_at = monotonic() + RESUMED_LOOK_S
        known, self._resumed = self._resumed, await resumption.newest(self.turn.outbox.pool)
        if self.breaker_open and self._resumed.breaker > known.breaker:
            log.warning("resumed: the breaker closes")
            self.turn.breaker.close()
            self.breaker_open, self._taken = None, -1
            BREAKER_OPEN.labels(self.service).set(0)
        if self.stopped and self._resumed.partition > known.partition:
            log.warning("resumed: the positions are read anew")
            self._taken = -1

    async def _look_whether_moved(self) -> None:
        if monotonic() < self._moved_look_at:
            return
        self._moved_look_at = monotonic() + MOVED_LOOK_S
        if not await positions.still(self.turn.outbox.pool, self.turn.positions):
            log.warning("positions were moved, reading them anew")
            self._taken = -1

    async def _pass_what_is_no_message(self, consumer: AIOKafkaConsumer) -> None:
        """Asked where a poll gave nothing: then all messages that the client has passed are handled."""
        if monotonic() < self._passed_look_at or self._taken != self._generation.number:
            return
        self._passed_look_at = monotonic() + PASSED_LOOK_S
        try:
            await self.turn.skip_to(await passed(consumer, self.turn.positions))
        except NotOwner:
            self._taken = -1

    def _stop_at_gaps(self, consumer: AIOKafkaConsumer, screened: Screened) -> None:
        for place, gap in screened.gaps.items():
            consumer.pause(TopicPartition(*place))
            self.stopped[place] = gap
            STOPPED.labels(self.service, *map(str, place)).set(1)
            log.critical("sequence gap, the partition stands", topic=place.topic, partition=place.partition, gap=gap)

    async def _take_assignment(self, consumer: AIOKafkaConsumer) -> None:
        """Reads the stored positions and seeks to them; first publishes what an earlier owner left in the outbox."""
        await self._polls.drop()
        assigned = consumer.assignment()
        owned = frozenset(tp.partition for tp in assigned)
        self._forget_lag(assigned)
        self.turn.positions.clear()
        self.turn.let_go()
        for place in self.stopped:
            STOPPED.labels(self.service, *map(str, place)).set(0)
        self.stopped.clear()
        known, self._resumed = self._resumed, await resumption.newest(self.turn.outbox.pool)
        if self.breaker_open:  # whether that was resumed meanwhile is seen by the next look
            self._resumed = self._resumed._replace(breaker=known.breaker)
        consumer.resume(*consumer.paused())
        await refuse_restored_database(
            self.settings, self.turn.outbox.pool, outputs_of(self.turn.stage.service), sorted(owned)
        )
        self.publisher.own(owned)
        await self.publisher.drain()
        if not assigned:
            return
        starts = await in_time(consumer.beginning_offsets(list(assigned)))
        ends = await in_time(consumer.end_offsets(list(assigned)))
        stored = await positions.read(self.turn.outbox.pool, {Place(*tp): start for tp, start in starts.items()})
        for tp in assigned & consumer.assignment():
            position = stored[Place(*tp)]
            _require_held(tp, position.offset, starts, ends)
            consumer.seek(tp, position.offset)
        self.turn.positions.update(stored)
        if self.breaker_open:
            consumer.pause(*assigned)
        log.info("assigned", partitions=sorted(owned))

    async def _commit_offsets(self, consumer: AIOKafkaConsumer) -> None:
        self._offsets_committed_at = monotonic()
        assigned = consumer.assignment()
        reached = {
            tp: position.offset
            for place, position in self.turn.positions.items()
            if (tp := TopicPartition(*place)) in assigned
        }
        if reached:
            await in_time(consumer.commit(reached))

    def _measure_lag(self, consumer: AIOKafkaConsumer, messages: Sequence[Message]) -> None:
        """Not of what went to another process meanwhile, of which the client knows nothing any more, and not of what
        stands."""
        working = consumer.assignment() - {TopicPartition(*place) for place in (*self.stopped, *self.turn.held)}
        for place, message in {Place(m.topic, m.partition): m for m in messages}.items():
            if TopicPartition(*place) not in working:
                continue
            self._lagging.add(place)
            label = (self.service, message.topic, str(message.partition))
            end = consumer.highwater(TopicPartition(*place)) or message.offset + 1
            LAG_MESSAGES.labels(*label).set(max(0, end - message.offset - 1))
            LAG_SECONDS.labels(*label).set(max(0.0, time() - message.timestamp_ms / 1000))

    def _caught_up(self) -> None:
        """Kafka had nothing more; a partition that stands keeps the lag with which it stopped."""
        for place in self._lagging - self.stopped.keys():
            LAG_MESSAGES.labels(self.service, *map(str, place)).set(0)
            LAG_SECONDS.labels(self.service, *map(str, place)).set(0)
        self._lagging &= self.stopped.keys()

    def _forget_lag(self, assigned: Set[TopicPartition]) -> None:
        """Of what went to another process that one tells the lag."""
        for place in [place for place in self.turn.positions if TopicPartition(*place) not in assigned]:
            LAG_MESSAGES.remove(self.service, *map(str, place))
            LAG_SECONDS.remove(self.service, *map(str, place))
            self._lagging.discard(place)


def _require_held(tp: TopicPartition, offset: int, starts: Mapping[Any, int], ends: Mapping[Any, int]) -> None:
    if not starts[tp] <= offset <= ends[tp]:
        raise InputLost(
            f"{tp.topic}/{tp.partition} holds offsets {starts[tp]} to {ends[tp]}, this service reads on at {offset}",
            hint="the topic was deleted, shortened or restored: do not go on before it is known what was lost",
        )

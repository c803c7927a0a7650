"""Reading topics from their start to where they end now, without a group and in flat memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, Final, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.structs import ConsumerRecord

from shared.errors import Trouble
from shared.events.topics import SEQUENCE_DIGITS_MAX, SEQUENCE_HEADER
from shared.kafka import CLOSED_WITHIN_S, Client, KafkaAway, in_time, is_told_to_stop, start
from shared.settings import KafkaSettings

T = TypeVar("T")

FETCH_WAIT_MS: Final = 10
"""A broker answers one question after the other, and one for messages that are not there holds up all others so long:
an audit stood 0.2 s at the end of each topic."""
RECORDS_A_POLL: Final = 4000
RECORDS_ONE_BY_ONE: Final = 500
STALLED_S: Final = 60.0


class Away(Trouble):
    """Kafka or a database does not answer."""


class Extent(NamedTuple):
    """Offsets of a partition: the first that Kafka still holds, and the one after the last."""

    start: int
    end: int

    @property
    def messages(self) -> int:
        return self.end - self.start

    def at_or_after(self, offset: int) -> "Extent":
        """Without what lies before this offset."""
        return Extent(max(self.start, offset), self.end)


@asynccontextmanager
async def consumer(settings: KafkaSettings, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A client without a group: it reads and leaves no trace, and sees what services see. Raises Away."""
    client = AIOKafkaConsumer(
        **settings.client_options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        **{"fetch_max_wait_ms": FETCH_WAIT_MS} | options,
    )
    try:
        await _start(client, settings)
        yield client
    finally:
        await _stop(client)


async def _stop(client: AIOKafkaConsumer) -> None:
    try:
        await in_time(client.stop(), CLOSED_WITHIN_S)
    except (KafkaError, OSError):  # it holds nothing that another one would wait for
        pass
    except asyncio.CancelledError:  # as right after its start
        if is_told_to_stop():
            raise


@asynccontextmanager
async def admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Raises Away."""
    client = AIOKafkaAdminClient(**settings.client_options())
    try:
        await _start(client, settings)
        yield client
    finally:
        with suppress(KafkaError, OSError):
            await in_time(client.close(), CLOSED_WITHIN_S)


async def _start(client: Client, settings: KafkaSettings) -> None:
    try:
        await start(client, settings)
    except KafkaAway as error:
        raise Away(error.message, hint=error.hint) from error


async def partitions_of(settings: KafkaSettings, topics: Collection[str]) -> dict[str, int]:
    """How many partitions each of these topics has; those that do not exist are left out. Raises Away.

    All topics are asked for: one that is asked for by its name is made, where a broker makes topics by itself.
    """
    async with admin(settings) as client:
        try:
            described = await in_time(client.describe_topics())
        except KafkaError as error:
            raise Away(f"Kafka does not say which topics it has ({type(error).__name__})") from error
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in described
        if topic["topic"] in topics and topic["error_code"] == 0
    }


async def extents(client: AIOKafkaConsumer, places: Collection[TopicPartition]) -> dict[TopicPartition, Extent]:
    """Where these partitions begin and end now. Ends what `client` reads otherwise. Raises Away."""
    if not places:
        return {}
    client.assign(list(places))  # so that their leaders are asked for at once, not one topic after the other
    client.pause(*places)  # an answer that waits for messages would hold up the next question
    try:
        starts = await in_time(client.beginning_offsets(list(places)))
        ends = await in_time(client.end_offsets(list(places)))
    except KafkaError as error:
        raise Away(f"Kafka does not say where its topics end ({type(error).__name__})") from error
    return {tp: Extent(starts[tp], ends[tp]) for tp in places}


async def read(
    client: AIOKafkaConsumer, places: Mapping[TopicPartition, Extent]
) -> AsyncIterator[tuple[TopicPartition, Sequence[ConsumerRecord]]]:
    """All records within these extents, in the order of each partition. Raises Away when Kafka stops giving any.

    One whose header has a key that is no UTF-8 comes without key, value and headers: see `is_unreadable`.
    """
    left = {tp: extent for tp, extent in places.items() if extent.messages > 0}
    if not left:
        return
    client.assign(list(left))
    at = {tp: extent.start for tp, extent in left.items()}
    _seek(client, at)
    got_at = monotonic()
    while left:
        try:
            polled: Polled = await _asked(client.getmany(timeout_ms=500, max_records=RECORDS_A_POLL))
        except UnicodeDecodeError:
            polled = await _one_by_one(client, at)
        for tp, records in polled.items():
            if tp not in left:
                continue
            end = left[tp].end
            if records[-1].offset >= end:
                records = [record for record in records if record.offset < end]
            if records:
                yield tp, records
        for tp, reached in (await _asked(positions(client, list(left)))).items():
            if reached != at[tp]:
                at[tp], got_at = reached, monotonic()
            if reached >= left[tp].end:
                client.pause(tp)
                del left[tp], at[tp]
        if left and monotonic() - got_at > STALLED_S:
            raise Away(f"Kafka has given nothing for {STALLED_S:.0f} s of {', '.join(sorted({t for t, _ in left}))}")


async def _asked(call: Awaitable[T]) -> T:
    try:
        return await in_time(call)
    except KafkaTimeoutError as error:
        raise Away(str(error)) from error


async def positions(client: AIOKafkaConsumer, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """Where the client stands in each of these, which it must have been assigned."""
    return {tp: await client.position(tp) for tp in places}


Polled = dict[TopicPartition, list[ConsumerRecord]]


async def _one_by_one(client: AIOKafkaConsumer, at: Mapping[TopicPartition, int]) -> Polled:
    """Some records of each place.

    The client fails on an unreadable record, does not say where it stands, and forgets what it read before it; but it
    reads single ones up to it.
    """
    found: Polled = {}
    _seek(client, at)
    for tp in at:
        records: list[ConsumerRecord] = []
        while len(records) < RECORDS_ONE_BY_ONE:
            try:
                polled = await _asked(client.getmany(tp, timeout_ms=100, max_records=1))
            except UnicodeDecodeError:
                offset = await _asked(client.position(tp))
                records.append(_unreadable(tp, offset))
                client.seek(tp, offset + 1)
                continue
            if not polled:
                break
            records += polled[tp]
        if records:
            found[tp] = records
    return found


def _seek(client: AIOKafkaConsumer, at: Mapping[TopicPartition, int]) -> None:
    for tp, offset in at.items():
        client.seek(tp, offset)


def _unreadable(tp: TopicPartition, offset: int) -> ConsumerRecord:
    return ConsumerRecord(*tp, offset, 0, 0, None, None, None, -1, -1, ())


def is_unreadable(record: ConsumerRecord) -> bool:
    """Whether nothing could be read of a record: neither key nor value nor headers. It is no event of anybody's."""
    return record.key is None and record.value is None and not record.headers


def sequence_of(record: ConsumerRecord) -> int | None:
    """The number in the header `sequence`, of several the last as in Kafka's own clients; None where there is none in
    form. Of any topic."""
    for name, carried in reversed(record.headers):
        if name == SEQUENCE_HEADER:
            return int(carried) if carried and carried.isdigit() and len(carried) <= SEQUENCE_DIGITS_MAX else None
    return None

"""Faust's consumer, with two things done otherwise.

- Going back on a partition happens in the thread that fetches. Faust does it from its own, and so can take a
  partition's messages away from the fetcher while that is handing them out: a KeyError, which ends the process.
- Messages of the flow come to the agent by the batch: what a poll brought of one partition is one message to Faust.
  What Faust does for each message (tasks, waits, an event, a queue) costs many times what counting it costs.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import structlog
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.types.tuples import TP, ConsumerMessage

from shared.events.topics import CHANGELOGS
from shared.runtime.failures import told

log = structlog.get_logger()

POLL_MAX: Final = 2_000
"""Messages a poll brings at most."""
FETCH_BYTES: Final = 131_072
"""Of a partition at once, so that the batches that wait are bounded in bytes too."""
PAUSE_S: Final = 0.1
"""After a poll that brought less than it may: what comes meanwhile is one batch, not many."""


class Batch(ConsumerMessage):
    """Messages of one partition, in order. Its offset is the last one's."""

    records: Sequence[Any]


class Reader(Consumer):
    """Changelogs come message by message, as Faust's recovery wants them."""

    async def _seek(self, partition: TP, offset: int) -> None:
        await self._thread.call_thread(_seek_if_assigned, self._thread, partition, offset)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            try:
                await self.perform_seek()
            except Exception as error:  # noqa: BLE001 - as Faust does: a rebalance is under way
                log.info("what was fetched is left out", error=told(error))
            return
        for place, found in records.items():
            tp = TP(*place)
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                continue
            for message in self._messages(tp, found):
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return  # what is left out now is missed, and read again: see `continuity`
                yield tp, message
        brought = sum(map(len, records.values()))
        if brought < POLL_MAX and not any(place.topic in CHANGELOGS for place in records):
            await self.sleep(PAUSE_S)

    def _messages(self, tp: TP, records: Sequence[Any]) -> Sequence[ConsumerMessage]:
        if tp.topic in CHANGELOGS:
            return [self._to_message(tp, record) for record in records]
        last = records[-1]
        generation = self.app.consumer_generation_id
        batch = Batch(
            *tp, last.offset, last.timestamp / 1000, 0, None, None, b"", None, tp=tp, generation_id=generation
        )
        batch.records = records
        return [batch]


async def _seek_if_assigned(thread: AIOKafkaConsumerThread, tp: TP, offset: int) -> None:
    """A partition that was taken away meanwhile begins where its new assignment does."""
    if tp in thread.assignment():
        thread.seek(tp, offset)

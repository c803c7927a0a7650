"""The Faust application: reads every topic of the flow and counts what comes.

Faust's own acknowledgement is off. It would also acknowledge what was being counted when the process is told to stop,
and it can commit an offset before the changelog is written. Here an offset is committed when everything that follows
from the messages before it is in Kafka and in the database, and by nobody else.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import asyncpg
import faust
import structlog
from faust.types.auth import CredentialsT
from faust.types.events import EventT
from faust.types.tuples import TP

from services.monitor import store
from services.monitor.continuity import Continuity
from services.monitor.counter import Counter, Received
from services.monitor.quiet import Quiet
from services.monitor.reader import FETCH_BYTES, POLL_MAX, Batch, Reader
from services.monitor.settings import MonitorSettings
from services.monitor.tables import Windows, make
from shared.events.topics import CHANGELOGS, FLOW_TOPICS, MONITOR_GROUP
from shared.reading import sequence_of
from shared.runtime.backoff import Backoff
from shared.runtime.failures import is_trouble, told
from shared.telemetry.metrics import TROUBLES

log = structlog.get_logger()

WATCHED: Final = tuple(t.name for t in FLOW_TOPICS.values() if t.owner not in (None, "monitor"))
"""What services write. What sources and operators write is counted by its offsets: see `intake`."""
LOOK_S: Final = 0.5
STOP_S: Final = 3.0
BUNDLE_MAX: Final = 64
"""Batches that are counted together."""
BUFFER_MAX: Final = 32
"""Batches that wait."""


@dataclass(slots=True)
class Watch:
    """A running application. `failure` is set when it cannot go on; then nothing was committed that is not counted."""

    app: faust.App
    windows: Windows
    pool: asyncpg.Pool
    counter: Counter
    gather_s: float
    failure: Exception | None = None
    whole: bool = False
    """Whether the tables have been read back from their changelogs. (Faust also says so before it knows of any.)"""
    continuity: Continuity = field(default_factory=Continuity)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until told to stop. Raises what it failed with."""
        try:
            await self.app.start()
            while not stopping.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), LOOK_S)
                if self.failure:
                    raise self.failure
                if self.app.crashed:
                    raise self.app.crash_reason or RuntimeError("Faust has crashed and does not say why")
        finally:
            # What is left then is nothing but connections: Faust may wait for ever for its own recovery to end.
            with suppress(TimeoutError):
                await asyncio.wait_for(self.app.stop(), STOP_S)

    async def count(self, stream: Any) -> None:
        """The agent. Nothing is acknowledged when this raises, so it hands on what it failed with and waits."""
        async for batches in stream.take_events(BUNDLE_MAX, within=self.gather_s):
            try:
                await self.bundle(batches)
            except Exception as error:  # noqa: BLE001 - `run` raises it; raised here, Faust would go on without it
                self.failure = error
                await asyncio.Event().wait()

    async def recovered(self) -> None:
        self.whole = True

    async def bundle(self, batches: Sequence[EventT[Any]]) -> None:
        takes = self.continuity.takes
        messages: list[Received] = []
        reached: dict[TP, int] = {}
        for batch in (cast("Batch", event.message) for event in batches):
            for record in batch.records:
                if takes(batch.tp, record.offset):
                    messages.append(_received(batch.tp, record))
                    reached[batch.tp] = record.offset + 1
        payments = self.counter.bundle(messages)
        if payments:
            await self._through_trouble(payments)
        await self.windows.written()
        if reached:
            await cast("Any", self.app.consumer)._commit(reached)

    async def read_again(self, ends: Mapping[Any, int]) -> None:
        """Goes back on partitions that Faust passed messages over. `ends`: how far Kafka's partitions reach."""
        assigned = self.app.consumer.assignment()
        for tp, offset in self.continuity.stalled(ends).items():
            if tp in assigned:
                log.info("reading again", topic=tp.topic, partition=tp.partition, offset=offset)
                await self.app.consumer.seek(tp, offset)

    async def _through_trouble(self, payments: Sequence[tuple[Any, Any, Any]]) -> None:
        backoff = Backoff()
        while True:
            try:
                await store.keep_payments(self.pool, payments)
                return
            except Exception as error:
                if not is_trouble(error):
                    raise
                TROUBLES.labels("monitor", "count").inc()
                log.warning("counting waits for the database", error=told(error))
                await asyncio.sleep(backoff.next_s())


def watch(settings: MonitorSettings, pool: asyncpg.Pool, partitions: int) -> Watch:
    """An application that is not started yet; one a process."""
    app = faust.App(
        MONITOR_GROUP,
        broker=[f"kafka://{address.strip()}" for address in settings.kafka.split(",")],
        broker_credentials=credentials(settings),
        broker_client_id=f"{MONITOR_GROUP}-{settings.instance}",
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_heartbeat_interval=min(3.0, settings.session_timeout_ms / 3000),
        broker_max_poll_records=POLL_MAX,
        consumer_max_fetch_size=FETCH_BYTES,
        broker_commit_livelock_soft_timeout=3600.0,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        producer_linger=0.02,
        producer_max_batch_size=500_000,
        processing_guarantee="at_least_once",
        store="memory://",
        datadir=Path("/nonexistent"),
        topic_partitions=partitions,
        topic_replication_factor=settings.replication,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_buffer_maxsize=BUFFER_MAX,
        stream_wait_empty=False,
        web_enabled=False,
        Monitor=Quiet,
    )
    cast("Any", app.transport).Consumer = Reader
    windows = make(app, partitions)
    counter = Counter(windows)
    made = Watch(app, windows, pool, counter, settings.gather_s)
    topic = app.topic(
        *WATCHED, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=False
    )
    windows.position.on_recover(made.recovered)
    app.agent(topic, name="monitor.count")(made.count)
    return made


def credentials(settings: MonitorSettings) -> CredentialsT | None:
    """How Faust is let in by Kafka: the same settings as every client's. Raises CannotConnect."""
    options = settings.client_options()
    if settings.signs_in:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=options.get("ssl_context"),
        )
    return faust.SSLCredentials(options["ssl_context"]) if settings.speaks_tls else None


def topics_to_make() -> Iterable[str]:
    return (*FLOW_TOPICS, *CHANGELOGS)


def _received(tp: TP, record: Any) -> Received:
    return Received(*tp, sequence_of(record), record.value)

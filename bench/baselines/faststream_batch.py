"""FastStream as well as its documentation allows: batches, a codec of its own, one transaction and publication a batch.

- `batch=True` with `max_records`: a handler's costs are shared by thousands of events.
- A codec (docs: Custom Codec) validates each value straight into the model, in one step instead of JSON to dict to
  model, and `NoCast` keeps FastStream from validating again what the codec made.
- One asyncpg transaction a batch with a set-based INSERT.
- `publish_batch` per partition with a key a message: FastStream puts one batch into one partition, so a recipient's
  decisions stay in order only if the handler sorts them by partition itself. It does not split a batch that is too
  large for one request either; `PUBLISH_MAX` messages of ours always fit.
- Idempotent producer, acks=all, offsets committed after the batch, uvloop, quiet logger.

At least once: what a crash interrupts is done again (the row is there once, the decision twice). An event that cannot
be read stops its batch, which is handed in again without end.
"""

import asyncio
import gc
import logging
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias

import asyncpg
import uvloop
from faststream import AckPolicy, Context, ContextRepo, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaPublishMessage
from faststream.params import NoCast

from bench.work import INPUT, INSERT_AGAIN, OUTPUT, decide
from shared.events import Event, RecipientRegistered

EVENTS_MAX = int(os.environ.get("BENCH_BATCH", "2000"))
PUBLISH_MAX = 500

Registered: TypeAlias = Event[RecipientRegistered]
CONTENT_TYPE = "application/cloudevents+json"
validate = Registered.__pydantic_validator__.validate_json


class EventCodec:
    """Bytes to models and back, a batch at a time."""

    async def decode_batch(self, message: KafkaMessage) -> list[Registered]:
        return [validate(value) for value in message.body]

    async def encode_batch(self, events: Sequence[Event[Any]], serializer: object) -> list[tuple[bytes, str]]:
        return [(event.__pydantic_serializer__.to_json(event, exclude_none=True), CONTENT_TYPE) for event in events]

    async def decode(self, message: KafkaMessage) -> Registered:
        raise NotImplementedError("only batches are read")

    async def encode(self, event: Event[Any], serializer: object) -> tuple[bytes, str]:
        raise NotImplementedError("only batches are written")


logging.getLogger("faststream").setLevel(logging.WARNING)

broker = KafkaBroker(
    os.environ["BENCH_KAFKA"],
    codec=EventCodec(),
    acks="all",
    enable_idempotence=True,
    linger_ms=0,
    max_batch_size=900_000,
    max_request_size=4 * 1024 * 1024,
    logger=logging.getLogger("faststream"),
)


@broker.subscriber(
    INPUT,
    batch=True,
    max_records=EVENTS_MAX,
    group_id=os.environ["BENCH_GROUP"],
    auto_offset_reset="earliest",
    ack_policy=AckPolicy.NACK_ON_ERROR,
    max_partition_fetch_bytes=2 * 1024 * 1024,
    no_reply=True,
)
async def handle(
    events: NoCast[list[Registered]],
    message: KafkaMessage,
    pool: Annotated[asyncpg.Pool, Context("pool")],
) -> None:
    at = datetime.now(UTC)
    decisions: dict[int, list[KafkaPublishMessage]] = defaultdict(list)
    for record, event in zip(message.raw_message, events, strict=True):
        decisions[record.partition].append(KafkaPublishMessage(decide(event, at), key=record.key))
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(INSERT_AGAIN, [event.subject for event in events], [event.id for event in events])
    await asyncio.gather(*(publish(partition, messages) for partition, messages in decisions.items()))


async def publish(partition: int, messages: list[KafkaPublishMessage]) -> None:
    for start in range(0, len(messages), PUBLISH_MAX):
        await broker.publish_batch(*messages[start : start + PUBLISH_MAX], topic=OUTPUT, partition=partition)


@asynccontextmanager
async def lifespan(context: ContextRepo) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["BENCH_POSTGRES"], min_size=1, max_size=8) as pool:
        context.set_global("pool", pool)
        yield


app = FastStream(broker, lifespan=lifespan)

if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)  # as Salur's services do
    uvloop.run(app.run())

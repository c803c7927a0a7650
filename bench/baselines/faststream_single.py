"""FastStream one event at a time, as its documentation shows: a typed handler whose return value is published.

The decoder is there because FastStream takes a CloudEvent's content type for bytes; it makes the model in one step, and
`NoCast` keeps FastStream from validating it again.

At least once: an offset is committed after its event was handled, so a crash repeats events (the row is there once,
the decision twice). An event that cannot be read is handed in again without end. BENCH_WORKERS is FastStream's
`max_workers`: so many events at once, those of a partition still one by one.
"""

import gc
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import asyncpg
import uvloop
from faststream import AckPolicy, Context, ContextRepo, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaResponse
from faststream.params import NoCast

from bench.work import INPUT, INSERT_AGAIN, OUTPUT, decide
from shared.events import Event, RecipientRegistered

logging.getLogger("faststream").setLevel(logging.WARNING)  # its two lines an event would cost a tenth

broker = KafkaBroker(
    os.environ["BENCH_KAFKA"], acks="all", enable_idempotence=True, logger=logging.getLogger("faststream")
)


async def decode(message: KafkaMessage) -> Event[RecipientRegistered]:
    return Event[RecipientRegistered].model_validate_json(message.body)


@broker.subscriber(
    INPUT,
    group_id=os.environ["BENCH_GROUP"],
    auto_offset_reset="earliest",
    ack_policy=AckPolicy.NACK_ON_ERROR,
    decoder=decode,
    max_workers=int(os.environ.get("BENCH_WORKERS", "1")),
)
@broker.publisher(OUTPUT)
async def handle(
    event: NoCast[Event[RecipientRegistered]], pool: Annotated[asyncpg.Pool, Context("pool")]
) -> KafkaResponse:
    await pool.execute(INSERT_AGAIN, [event.subject], [event.id])
    return KafkaResponse(decide(event, datetime.now(UTC)), key=event.subject.encode())


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

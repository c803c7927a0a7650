"""A Faust agent with a table, as well as its documentation allows: `python -m bench.baselines.faust_agent worker`.

- `take`: one transaction for thousands of events, and their decisions are sent together.
- `producer_linger`: Faust's producer would otherwise make a request of every message.
- uvloop, a large stream buffer, and debug lines switched off, which Faust makes for each message and throws away.

The table holds each recipient's decision and lives in a changelog topic, beside the row in PostgreSQL; its store is in
memory. `use_partitioner` because with `take` Faust no longer knows from which partition a key came.

At least once: offsets are committed after the producer was flushed, so what a crash interrupts is done again (the row
is there once, the decision twice). An event that cannot be read ends the agent's batch.
"""

import asyncio
import gc
import logging
import os
from datetime import UTC, datetime
from typing import Any

import asyncpg
import faust

from bench.work import INPUT, INSERT_AGAIN, OUTPUT, PARTITIONS, decide
from shared.events import Event, RecipientRegistered

EVENTS_MAX = 5_000
WITHIN_S = 0.2

validate = Event[RecipientRegistered].__pydantic_validator__.validate_json


class App(faust.App):
    pool: asyncpg.Pool

    async def on_start(self) -> None:
        self.pool = await asyncpg.create_pool(os.environ["BENCH_POSTGRES"], min_size=1, max_size=8)


app = App(
    os.environ["BENCH_GROUP"],
    broker=f"kafka://{os.environ['BENCH_KAFKA']}",
    store="memory://",
    datadir=os.environ["BENCH_FOLDER"],
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    stream_buffer_maxsize=16_384,
    producer_linger=0.1,
    producer_max_batch_size=900_000,
    web_enabled=False,
)
registered = app.topic(INPUT, key_type=bytes, value_type=bytes, value_serializer="raw")
decided = app.topic(OUTPUT, key_type=bytes, value_type=bytes, value_serializer="raw")
decisions = app.Table("decisions", partitions=PARTITIONS, use_partitioner=True)


@app.agent(registered)
async def decide_all(stream: Any) -> None:
    async for values in stream.take(EVENTS_MAX, within=WITHIN_S):
        events = [validate(value) for value in values]
        at = datetime.now(UTC)
        async with app.pool.acquire() as connection, connection.transaction():
            await connection.execute(INSERT_AGAIN, [event.subject for event in events], [event.id for event in events])
        sending = []
        for event in events:
            decision = decide(event, at)
            decisions[event.subject] = decision.id
            value = decision.__pydantic_serializer__.to_json(decision, exclude_none=True)
            sending.append(decided.send(key=event.subject.encode(), value=value))
        await asyncio.gather(*sending)


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)  # as Salur's services do
    logging.disable(logging.INFO)
    app.main()

"""The limit: how fast aiokafka and asyncpg carry bytes from topic to table and topic, with nothing in between.

Nothing is decoded or validated, the event goes out as it came in, and the row says only where it came from. Nothing is
promised either: after a crash rows and events are there twice or not at all.
"""

import asyncio
import gc
import os

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

INPUT, OUTPUT = "recipient.registered", "eligibility.decided"
MESSAGES_MAX = 4_000


async def publish(producer: AIOKafkaProducer, partition: int, records: list[ConsumerRecord]) -> None:
    batch = producer.create_batch()
    for record in records:
        if batch.append(key=record.key, value=record.value, timestamp=None) is None:
            batch.close()
            await (await producer.send_batch(batch, OUTPUT, partition=partition))
            batch = producer.create_batch()
            batch.append(key=record.key, value=record.value, timestamp=None)
    batch.close()
    await (await producer.send_batch(batch, OUTPUT, partition=partition))


async def main() -> None:
    kafka, group = os.environ["BENCH_KAFKA"], os.environ["BENCH_GROUP"]
    database = await asyncpg.connect(os.environ["BENCH_POSTGRES"])
    consumer = AIOKafkaConsumer(
        INPUT,
        bootstrap_servers=kafka,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=900_000,
        max_request_size=4 * 1024 * 1024,
    )
    await consumer.start()
    await producer.start()
    while True:
        polled = await consumer.getmany(timeout_ms=200, max_records=MESSAGES_MAX)
        rows = [(r.key.decode(), f"{r.partition}/{r.offset}") for records in polled.values() for r in records]
        if not rows:
            continue
        await database.copy_records_to_table(
            "decided", schema_name="bench", columns=("recipient", "event_id"), records=rows
        )
        await asyncio.gather(*(publish(producer, tp.partition, records) for tp, records in polled.items()))
        await consumer.commit()


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)  # as Salur's services do
    uvloop.run(main())

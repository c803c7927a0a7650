"""Records that our own producer would not write."""

from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c


def with_foreign_header(producer: AIOKafkaProducer, value: bytes) -> Any:
    """A record batch whose only header has a key that is no UTF-8: some clients write the bytes that they are given."""
    builder = producer.create_batch()
    builder.append(key=None, value=value, timestamp=None, headers=[("QQQ", b"")])
    builder.close()
    build = builder._build

    def spoilt() -> bytes:
        raw = bytearray(build()).replace(b"QQQ", b"\xff\xfe\x00")
        raw[17:21] = calc_crc32c(raw[21:]).to_bytes(4, "big")
        return bytes(raw)

    builder._build = spoilt
    return builder


async def put_unreadable(producer: AIOKafkaProducer, topic: str, partition: int, value: bytes = b"{}") -> None:
    """One such record, on its own."""
    await (await producer.send_batch(with_foreign_header(producer, value), topic, partition=partition))

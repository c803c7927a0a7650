"""The lag of a partition that went to another process in the middle of a turn."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from aiokafka import AIOKafkaConsumer

from shared.runtime.loop import Loop
from shared.runtime.stage import Message
from shared.settings import ServiceSettings


async def test_a_partition_that_was_lost_meanwhile_is_not_measured(tmp_path: Path) -> None:
    """The client fails on a question about it, and with it the service ended: seen when two instances were killed."""
    settings = ServiceSettings(kafka="127.0.0.1:1", postgres="postgresql://127.0.0.1/none", keys=tmp_path / "none")  # type: ignore[arg-type]
    nothing = cast("Any", SimpleNamespace(decode=None, held={}))
    loop = Loop(turn=nothing, publisher=nothing, settings=settings)
    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    loop._measure_lag(consumer, [Message("recipient.registered", 0, 5, 5, b"r", b"{}", 0)])
    assert not loop._lagging

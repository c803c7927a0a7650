"""Clients that are started in one way, and topics that are made from the table in `shared.events.topics`."""

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, KafkaTimeoutError, TopicAlreadyExistsError, for_code

from shared.errors import SalurError, Trouble
from shared.events.topics import topic_named
from shared.kafka_refusals import KafkaAway, refusal
from shared.settings import KafkaSettings

T = TypeVar("T")

SETTLE_S = 20.0
WITHIN_S = 60.0
"""aiokafka waits for metadata that never come while its broker is away, and a stage stood for ever in the commit of its
offsets, on which nothing depends. Longer than a failover or a rebalance with a process that was killed."""
STARTED_WITHIN_S = 180.0
"""aiokafka tries each address for 40 s, and a member that was killed holds up a group until its session has run out."""
CLOSED_WITHIN_S = 10.0
_CANCELLED_WITHIN_S = 1.0


class PartitionsDiffer(SalurError):
    """Topics of one flow must have the same number of partitions."""


class CannotMakeTopic(Trouble):
    """Kafka refuses to make a topic, or does not get it done."""


class Client(Protocol):
    """Any of aiokafka's clients."""

    async def start(self) -> None: ...


async def start(client: Client, settings: KafkaSettings) -> None:
    """Starts a client that was made with `settings.client_options()`.

    Raises KafkaAway, which says why it is not let in and which setting to look at. The caller stops the client.
    """
    try:
        await in_time(client.start(), STARTED_WITHIN_S)
    except (KafkaError, OSError) as error:
        raise await refusal(settings, error) from error


async def in_time(call: Awaitable[T], within_s: float | None = None, late: Exception | None = None) -> T:
    """What a call of Kafka's client gives. Raises `late`, else KafkaTimeoutError, where it takes too long: that client
    is done with.

    What does not come back may not end when it is cancelled either, so that is not waited for.
    """
    limit_s = WITHIN_S if within_s is None else within_s
    calling = asyncio.ensure_future(call)
    calling.add_done_callback(_retrieved)
    try:
        done, _ = await asyncio.wait({calling}, timeout=limit_s)
    finally:
        if not calling.done():
            calling.cancel()
            await asyncio.wait({calling}, timeout=_CANCELLED_WITHIN_S)
    if not done:
        raise late or KafkaTimeoutError(f"Kafka's client has not come back for {limit_s:.0f} s")
    return calling.result()


def _retrieved(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()


async def let_go(producer: AIOKafkaProducer, within_s: float = CLOSED_WITHIN_S) -> None:
    """Stops a producer whatever became of it: where a batch was given up, its own stop ends half-way, and its task and
    its connections are left."""
    with suppress(Exception):
        await in_time(producer.stop(), within_s)
    if sending := producer._sender.sender_task:
        sending.cancel()
        await asyncio.wait({sending}, timeout=_CANCELLED_WITHIN_S)
    with suppress(Exception):
        await in_time(producer.client.close(), _CANCELLED_WITHIN_S)


def is_told_to_stop() -> bool:
    """Whether a CancelledError is this task's own: a client that is stopped can raise that of its own tasks instead."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


@asynccontextmanager
async def admin(settings: KafkaSettings) -> Any:
    """Raises KafkaAway."""
    client = AIOKafkaAdminClient(**settings.client_options())
    try:
        await start(client, settings)
        yield client
    finally:
        await in_time(client.close(), CLOSED_WITHIN_S)


async def ensure_topics(settings: KafkaSettings, names: Iterable[str]) -> int:
    """Creates the topics that are missing and returns the number of partitions of all.

    Raises PartitionsDiffer when they are not the same everywhere, CannotMakeTopic, KafkaAway. Any number of processes
    may do this at once.
    """
    wanted = sorted(set(names))
    async with admin(settings) as client:
        known = set(await in_time(client.list_topics()))
        await _create(client, settings, [name for name in wanted if name not in known])
        counts = await _partitions(client, wanted)
    if len(set(counts.values())) != 1:
        raise PartitionsDiffer(f"topics differ in their number of partitions: {counts}; recreate the odd ones")
    return next(iter(counts.values()))


async def _create(client: AIOKafkaAdminClient, settings: KafkaSettings, names: list[str]) -> None:
    if not names:
        return
    answer = await in_time(client.create_topics([_new_topic(name, settings) for name in names]))
    for name, code, reason in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise CannotMakeTopic(
                f"Kafka does not make the topic {name} with {settings.partitions} partitions and "
                f"{settings.replication} replicas: {reason or error.__name__}",
                hint="SALUR_REPLICATION is at most the number of brokers that run; the user needs CREATE and DESCRIBE",
            )


async def _partitions(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """By topic, once all are known and led: a new topic is not known everywhere at once."""
    until = monotonic() + SETTLE_S
    while True:
        answer = await in_time(client.describe_topics(names))
        described = [topic for topic in answer if topic["error_code"] == 0]
        led = [topic for topic in described if all(partition["leader"] >= 0 for partition in topic["partitions"])]
        counts = {topic["topic"]: len(topic["partitions"]) for topic in led}
        if len(counts) == len(names):
            return counts
        if monotonic() > until:
            left = ", ".join(name for name in names if name not in counts)
            raise CannotMakeTopic(
                f"Kafka does not show {left}, or no broker leads them", hint="the user needs DESCRIBE on these topics"
            )
        await asyncio.sleep(0.05)


def _new_topic(name: str, settings: KafkaSettings) -> NewTopic:
    configs = topic_named(name).configs(settings.replication)
    return NewTopic(name, settings.partitions, settings.replication, topic_configs=configs)


__all__ = ["CannotMakeTopic", "Client", "KafkaAway", "PartitionsDiffer", "admin", "ensure_topics", "in_time", "start"]

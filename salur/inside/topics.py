"""The topics of the flow as they are: who writes them, how large they are, and who is behind in reading them."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pydantic import BaseModel, Field

from salur.inside.connect import Away, admin, consumer
from salur.inside.log_dirs import topic_bytes
from salur.inside.topic_configs import configs_of
from shared.events.topics import FLOW_TOPICS, INTAKE_MODELS, STAGES, topic_named
from shared.kafka import in_time
from shared.reading import extents
from shared.settings import KafkaSettings

_RETENTION: Final = "retention.ms"


class TopicView(BaseModel):
    """One topic. `salur topics --json` prints a list of these."""

    topic: str
    owner: str
    """the service that writes it, `sources` for intake, `operators` for replays"""
    partitions: int
    """0: the topic does not exist"""
    messages: int = 0
    """that Kafka holds, re-publications included"""
    bytes: int | None = None
    """on the disks of all brokers; null where they do not say"""
    retention_ms: int | None = None
    """-1: kept for ever"""
    lag: dict[str, int] = Field(default_factory=dict)
    """messages that a group (`salur-SERVICE`) has not read, for the groups that read it"""
    problem: str | None = None


async def topics(settings: KafkaSettings) -> list[TopicView]:
    """Every topic of the flow and every intake topic. Raises Away."""
    async with admin(settings) as client, consumer(settings) as reader:
        try:
            described = {t["topic"]: t for t in await in_time(client.describe_topics()) if t["error_code"] == 0}
            names = [*(name for name in sorted(described) if _is_intake(name)), *FLOW_TOPICS]
            existing = [name for name in names if name in described]
            places = [TopicPartition(n, p) for n in existing for p in range(len(described[n]["partitions"]))]
            sizes = await topic_bytes(client)
            retention = await _retention(client, existing)
            ends = await extents(reader, places)
            lags = await _lags(client, {tp: extent.end for tp, extent in ends.items()})
        except KafkaError as error:
            raise Away(f"Kafka does not tell about its topics ({type(error).__name__})") from error
    views = []
    for name in names:
        partitions = len(described[name]["partitions"]) if name in described else 0
        view = TopicView(topic=name, owner=_owner(name), partitions=partitions)
        if partitions:
            view.messages = sum(extent.messages for tp, extent in ends.items() if tp.topic == name)
            view.bytes = None if sizes is None else sizes.get(name, 0)
            view.retention_ms = retention.get(name)
            view.lag = lags.get(name, {})
        views.append(view)
    _note_problems(views)
    return views


def _is_intake(name: str) -> bool:
    try:
        return topic_named(name).model in INTAKE_MODELS
    except KeyError:
        return False


def _owner(name: str) -> str:
    topic = topic_named(name)
    if topic.owner:
        return topic.owner
    return "operators" if name in FLOW_TOPICS else "sources"


def _note_problems(views: Iterable[TopicView]) -> None:
    """What keeps the flow from working: a missing topic, one with another number of partitions, or that forgets."""
    views = list(views)
    counts = [view.partitions for view in views if view.partitions]
    usual = max(set(counts), key=counts.count) if counts else 0
    for view in views:
        kept_ms = topic_named(view.topic).retention_ms
        if not view.partitions:
            view.problem = "missing: it is made when the service that reads or writes it starts"
        elif view.partitions != usual:
            view.problem = f"has {view.partitions} partitions, the others {usual}"
        elif kept_ms == -1 and view.retention_ms not in (-1, None):
            view.problem = "is not kept for ever: what it forgets can be audited no more"


async def _retention(client: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, int]:
    found = await configs_of(client, names, [_RETENTION])
    return {name: int(configs[_RETENTION]) for name, configs in found.items()}


async def _lags(client: AIOKafkaAdminClient, ends: Mapping[TopicPartition, int]) -> dict[str, dict[str, int]]:
    """By topic and group. A partition on which a group has not committed is not counted."""
    lags: dict[str, dict[str, int]] = {}
    for service in STAGES:
        group = f"salur-{service}"
        committed: Mapping[Any, Any] = await in_time(client.list_consumer_group_offsets(group))
        for tp, meta in committed.items():
            if tp in ends and meta.offset >= 0:
                of_topic = lags.setdefault(tp.topic, {})
                of_topic[group] = of_topic.get(group, 0) + max(0, ends[tp] - meta.offset)
    return lags

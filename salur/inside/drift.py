"""Where a cluster's topics differ from the table in `shared.events.topics` and the settings of the deployment."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from aiokafka.errors import KafkaError
from pydantic import BaseModel

from salur.inside.connect import Away, admin
from salur.inside.topic_configs import Configs, configs_of
from shared.events.topics import CHANGELOGS, FLOW_TOPICS, Topic, topic_named
from shared.kafka import in_time
from shared.settings import KafkaSettings

_WORDS: Final = {name.partition(".")[0] for name in FLOW_TOPICS}
"""What names of the flow begin with."""


class Found(NamedTuple):
    """One topic as the cluster has it; `replication` of each partition, `configs` None where they are not told."""

    replication: tuple[int, ...]
    configs: Configs | None

    @property
    def partitions(self) -> int:
        return len(self.replication)


class Drift(BaseModel):
    """One difference. `salur topics check --json` prints a list of these."""

    topic: str
    what: str
    """`topic`, `partitions`, `replication`, or the name of one of Kafka's topic settings"""
    found: str
    wanted: str
    remedy: str


async def find_drift(settings: KafkaSettings) -> list[Drift]:
    """Raises Away."""
    async with admin(settings) as client:
        try:
            described = {t["topic"]: t for t in await in_time(client.describe_topics()) if t["error_code"] == 0}
            known = (*FLOW_TOPICS.values(), *CHANGELOGS.values())
            keys = {key for topic in known for key in topic.configs(settings.replication)}
            configs = await configs_of(client, [name for name in described if _topic(name)], keys)
        except KafkaError as error:
            raise Away(f"Kafka does not tell about its topics ({type(error).__name__})") from error
    found = {
        name: Found(tuple(len(partition["replicas"]) for partition in topic["partitions"]), configs.get(name))
        for name, topic in described.items()
    }
    return list(compare(found, settings))


def compare(cluster: Mapping[str, Found], settings: KafkaSettings) -> Iterator[Drift]:
    """Missing topics first, then what differs in those that are there, then unknown ones."""
    for name in sorted(FLOW_TOPICS.keys() - cluster.keys()):
        owner = FLOW_TOPICS[name].owner or name.rpartition(".")[2]
        yield _drift(name, "topic", "missing", "there", f"start {owner}: a service makes its topics when it starts")
    for name, found in sorted(cluster.items()):
        if topic := _topic(name):
            yield from _differences(topic, found, settings)
    for name in sorted(cluster):
        if name.partition(".")[0] in _WORDS and not _topic(name):
            remedy = "nobody of the flow reads or writes it: is it misspelt, or left over? look into it, then delete it"
            yield _drift(name, "topic", "unknown", "not there", remedy)


def _differences(topic: Topic, found: Found, settings: KafkaSettings) -> Iterator[Drift]:
    name = topic.name
    if found.partitions != settings.partitions:
        remedy = (
            "add none: recipients would move to other partitions; set SALUR_PARTITIONS where the cluster is right, "
            "else the topic must be made anew while it is empty"
        )
        yield _drift(name, "partitions", found.partitions, settings.partitions, remedy)
    if odd := [count for count in found.replication if count != settings.replication]:
        remedy = "kafka-reassign-partitions.sh changes it; set SALUR_REPLICATION where the cluster is right"
        yield _drift(name, "replication", odd[0], settings.replication, remedy)
    if found.configs is None:
        yield _drift(name, "settings", "not told", "told", "this user needs DESCRIBE_CONFIGS on the topic")
        return
    for key, wanted in topic.configs(settings.replication).items():
        if found.configs.get(key) != wanted:
            remedy = f"kafka-configs.sh --bootstrap-server {settings.kafka} --alter --topic {name} --add-config"
            yield _drift(name, key, found.configs.get(key, "not set"), wanted, f"{remedy} {key}={wanted}")


def _topic(name: str) -> Topic | None:
    try:
        return topic_named(name)
    except KeyError:
        return None


def _drift(topic: str, what: str, found: str | int, wanted: str | int, remedy: str) -> Drift:
    return Drift(topic=topic, what=what, found=str(found), wanted=str(wanted), remedy=remedy)

"""`salur up --brokers 3`: what was acknowledged outlives a broker, and topics are what the table says."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Collection, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.protocol.metadata import MetadataRequest
from click.testing import Result
from typer.testing import CliRunner

from salur.inside.connect import consumer
from salur.inside.topic_configs import configs_of
from salur.main import app
from salur.stack.control import CannotScale, Request, down, up
from salur.stack.home import Home
from salur.stack.kafka import OtherBrokers
from salur.stack.locks import holder_of
from salur.stack.process import marked
from salur.stack.programs import PROGRAMS, Context
from salur.stack.state import ProcessState, State, Wanted
from salur.stack.status import status
from shared.events.topics import FLOW_TOPICS
from shared.kafka import admin, ensure_topics
from shared.reading import extents, read
from shared.settings import KafkaSettings
from tests.stack import new_home

STACK = Request(table="tests.integration.three_brokers:PROGRAMS")
COUNT = 1000


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """Of three brokers that run."""
    home = Home.at(new_home() / "three")
    try:
        up(home, STACK._replace(brokers=3), timeout_s=90)
        yield home
    finally:
        down(home)
        shutil.rmtree(home.root.parent)


@pytest.fixture
def kafka(home: Home) -> KafkaSettings:
    return context(home).kafka_settings()


def context(home: Home) -> Context:
    return Context(home, Wanted.load(home.wanted) or Wanted())


def states(home: Home) -> dict[str, tuple[ProcessState, int | None]]:
    return {f"{p.name}-{p.instance}": (p.state, p.pid) for p in status(home, with_lag=False).processes}


async def topic(kafka: KafkaSettings, name: str) -> dict[str, Any]:
    async with admin(kafka) as client:
        (described,) = await client.describe_topics([name])
    found: dict[str, Any] = described
    return found


async def everywhere(kafka: KafkaSettings, name: str) -> None:
    """Returns when each partition is in sync on all three."""
    async with asyncio.timeout(60):
        while any(len(partition["isr"]) < 3 for partition in (await topic(kafka, name))["partitions"]):
            await asyncio.sleep(0.2)


async def remake(kafka: KafkaSettings, *topics: NewTopic, gone: Collection[str] = ()) -> None:
    """Deletes these topics and `gone`, then makes them as they are stated, and waits until every broker knows."""
    names = {topic.name for topic in topics}
    async with asyncio.timeout(30):
        async with admin(kafka) as client:
            await client.delete_topics([*names, *gone])
        await _known(kafka, {*names, *gone}, set())
        async with admin(kafka) as client:
            await client.create_topics(list(topics))
        await _known(kafka, names, names)


async def _known(kafka: KafkaSettings, names: Collection[str], wanted: Collection[str]) -> None:
    async with admin(kafka) as client:
        for broker in (await client.describe_cluster())["brokers"]:
            while True:
                answer = await client._send_request_to_node(broker["node_id"], MetadataRequest(None))
                if set(names) & {topic["topic"] for topic in answer.to_object()["topics"]} == set(wanted):
                    break
                await asyncio.sleep(0.05)


async def salur(home: Home, *arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--home", str(home.root)])


async def test_services_are_led_to_all_three_and_topics_stand_on_each(home: Home, kafka: KafkaSettings) -> None:
    assert list(states(home)) == ["kafka-0", "kafka-1", "kafka-2", "worker-0"]
    addresses = kafka.kafka.split(",")
    assert len(set(addresses)) == 3
    assert status(home, with_lag=False).kafka == kafka.kafka
    registry = next(program for program in PROGRAMS if program.name == "registry")
    env = registry.launch(context(home), 0).env
    assert (env["SALUR_KAFKA"], env["SALUR_REPLICATION"]) == (kafka.kafka, "3")

    assert await ensure_topics(kafka, FLOW_TOPICS) == kafka.partitions
    for name in FLOW_TOPICS:
        assert [len(p["replicas"]) for p in (await topic(kafka, name))["partitions"]] == [3] * kafka.partitions
    for address in addresses:  # one of them is enough to find the others
        await ensure_topics(kafka.model_copy(update={"kafka": address}), FLOW_TOPICS)
    checked = await salur(home, "topics", "check")
    assert checked.exit_code == 0, checked.output


async def test_kafkas_own_topics_outlive_a_broker_too(kafka: KafkaSettings) -> None:
    await ensure_topics(kafka, ["replay.notify"])
    group = AIOKafkaConsumer("replay.notify", **kafka.client_options(), group_id="salur-three")
    async with group, AIOKafkaProducer(**kafka.client_options(), transactional_id="salur-three"):
        await group.commit({TopicPartition("replay.notify", 0): 0})
    names = ("__consumer_offsets", "__transaction_state")
    for name in names:
        assert {len(p["replicas"]) for p in (await topic(kafka, name))["partitions"]} == {3}
    async with admin(kafka) as client:
        found = await configs_of(client, names, ["min.insync.replicas", "unclean.leader.election.enable"])
    assert [set(configs.values()) for configs in found.values()] == [{"2", "false"}] * 2


async def test_check_names_every_drift_and_what_to_do(home: Home, kafka: KafkaSettings) -> None:
    await ensure_topics(kafka, FLOW_TOPICS)
    right = FLOW_TOPICS["payout.queued"].configs(3)
    made = (
        NewTopic("payout.queued", 8, 3, topic_configs=right | {"retention.ms": "1000", "cleanup.policy": "compact"}),
        NewTopic("payout.ordered", 4, 1, topic_configs=right | {"min.insync.replicas": "1"}),
        NewTopic("payout.ordred", 8, 3),
        NewTopic("others.business", 1, 1),
    )
    await remake(kafka, *made, gone=["notification.unknown", "replay.notify"])
    found = await salur(home, "topics", "check", "--json")
    assert found.exit_code == 1
    drifts = {(d["topic"], d["what"]): d for d in json.loads(found.stdout)}
    assert {key: (d["found"], d["wanted"]) for key, d in drifts.items()} == {
        ("notification.unknown", "topic"): ("missing", "there"),
        ("replay.notify", "topic"): ("missing", "there"),
        ("payout.queued", "retention.ms"): ("1000", "-1"),
        ("payout.queued", "cleanup.policy"): ("compact", "delete"),
        ("payout.ordered", "partitions"): ("4", "8"),
        ("payout.ordered", "replication"): ("1", "3"),
        ("payout.ordered", "min.insync.replicas"): ("1", "2"),
        ("payout.ordred", "topic"): ("unknown", "not there"),
    }
    assert "start notify" in drifts["replay.notify", "topic"]["remedy"]
    assert "--topic payout.queued --add-config retention.ms=-1" in drifts["payout.queued", "retention.ms"]["remedy"]
    lines = (await salur(home, "topics", "check")).stdout.splitlines()
    assert len(lines) == len(drifts), "one line each"

    await remake(kafka, gone=[topic.name for topic in made])
    await ensure_topics(kafka, FLOW_TOPICS)
    assert (await salur(home, "topics", "check")).exit_code == 0


async def test_what_was_acknowledged_outlives_a_killed_broker(home: Home, kafka: KafkaSettings) -> None:
    name = "payout.ordered"
    await ensure_topics(kafka, FLOW_TOPICS)
    leader = (await topic(kafka, name))["partitions"][0]["leader"]
    victim, worker = states(home)[f"kafka-{leader - 1}"][1], states(home)["worker-0"][1]
    assert victim
    assert worker
    acknowledged = set()
    options = {"acks": "all", "enable_idempotence": True, "request_timeout_ms": 10_000}
    async with AIOKafkaProducer(**kafka.client_options(), **options) as producer:
        for number in range(COUNT):
            if number == COUNT // 3:
                for pid in (victim, worker):
                    os.kill(pid, signal.SIGKILL)
            sent = await producer.send_and_wait(name, str(number).encode(), partition=number % kafka.partitions)
            acknowledged.add((sent.partition, sent.offset))
    assert len(acknowledged) == COUNT
    restarted: list[str] = []
    async with asyncio.timeout(60):
        while len(restarted) < 2:
            for process in ("worker-0", f"kafka-{leader - 1}"):
                state, pid = states(home)[process]
                if state == ProcessState.READY and pid not in (victim, worker) and process not in restarted:
                    restarted.append(process)
            await asyncio.sleep(0.05)
    assert restarted[0] == "worker-0", "two brokers of three are enough to start on"
    await everywhere(kafka, name)

    async with consumer(kafka) as client:
        places = await extents(client, [TopicPartition(name, n) for n in range(kafka.partitions)])
        values = [int(record.value) async for _, records in read(client, places) for record in records]
    assert sorted(set(values)) == list(range(COUNT))


def test_the_number_of_brokers_stays_as_it_was_made(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = states(home)
    with pytest.raises(OtherBrokers, match="holds data of 3 brokers") as refused:
        up(home, STACK._replace(brokers=1))
    assert "salur up --brokers 3" in refused.value.hint
    with pytest.raises(CannotScale, match="1 or 3"):
        up(home, STACK._replace(brokers=2))
    with pytest.raises(CannotScale, match="SALUR_KAFKA names another"):
        up(home, STACK._replace(brokers=3, kafka="elsewhere:9092"))
    assert up(home, STACK) is False, "without the option it is as before"
    assert states(home) == before


def test_down_ends_all_brokers_also_when_nobody_wrote_them_down(home: Home) -> None:
    supervisor = holder_of(home.supervisor_lock)
    assert supervisor
    os.kill(supervisor.pid, signal.SIGKILL)
    home.state.unlink()
    assert len(list(marked(home.root))) >= 3
    down(home)
    assert not list(marked(home.root))
    assert (State.load(home.state) or State()).processes == []

"""The embedded stack: servers come back with their data, and `up`, `status` and `down` keep their promises."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from salur.stack.control import Busy, CannotScale, NotReady, Request, down, up
from salur.stack.home import Home
from salur.stack.kafka import EmbeddedKafka
from salur.stack.lag import lags
from salur.stack.locks import hold, holder_of
from salur.stack.ports import LOOPBACK, PortBook
from salur.stack.postgres import EmbeddedPostgres
from salur.stack.process import Identity, marked
from salur.stack.state import ProcessState
from salur.stack.status import Status, status
from shared.settings import KafkaSettings
from tests.stack import drop_database, fresh_database

TINY = Request(table="tests.integration.tiny:PROGRAMS")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home.at(tmp_path / "home")
    yield home
    down(home)
    assert not list(marked(home.root)), "down left processes behind"


def pids(home: Home) -> dict[str, int | None]:
    return {f"{p.name}-{p.instance}": p.pid for p in status(home, with_lag=False).processes}


def wait_for(what: Callable[[Status], bool], home: Home, within_s: float = 10) -> Status:
    until = time.monotonic() + within_s
    while not what(found := status(home, with_lag=False)):
        assert time.monotonic() < until, found.model_dump_json(indent=1)
        time.sleep(0.05)
    return found


def worker(found: Status, instance: int = 0) -> tuple[ProcessState, int]:
    one = next(p for p in found.processes if (p.name, p.instance) == ("worker", instance))
    return one.state, one.restarts


def test_postgres_survives_kill_9_and_a_foreign_pid_in_its_pid_file(home: Home) -> None:
    server = EmbeddedPostgres(home.root)
    try:
        url = server.start()

        async def fetch(query: str) -> object:
            connection = await asyncpg.connect(url)
            try:
                return await connection.fetchval(query)
            finally:
                await connection.close()

        asyncio.run(fetch("CREATE TABLE kept AS SELECT 17 AS it"))
        server.kill()
        pid_file = home.root / "postgres" / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join((str(os.getpid()), *lines[1:])) + "\n")

        assert server.start() == url, "a restart keeps its address"
        assert asyncio.run(fetch("SELECT it FROM kept")) == 17
        assert asyncio.run(fetch("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")) is False
        process = server.running()
        assert process is not None
        assert psutil.Process(process.pid).uids().effective != 0
        wrong = url.replace(url.split("@")[0], "postgresql://salur:wrong")
        with pytest.raises(asyncpg.InvalidPasswordError):
            asyncio.run(_connect(wrong))
        assert (home.root / "postgres.json").stat().st_mode & 0o077 == 0
    finally:
        server.stop()
    assert server.running() is None


async def _connect(url: str) -> None:
    await (await asyncpg.connect(url)).close()


async def test_kafka_survives_kill_9_with_what_was_acknowledged(home: Home) -> None:
    server = EmbeddedKafka(home.root)
    try:
        address = server.start()
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        await admin.create_topics([NewTopic("kept", 8, 1)])
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=address, acks="all", enable_idempotence=True)
        await producer.start()
        for number in range(100):
            await producer.send("kept", str(number).encode(), partition=number % 8)
        await producer.flush()
        server.kill()
        assert server.start() == address
        await producer.send_and_wait("kept", b"100", partition=0)  # the same client finds it again
        await producer.stop()
        async with AIOKafkaConsumer(bootstrap_servers=address) as consumer:
            partitions = [TopicPartition("kept", number) for number in range(8)]
            ends = await consumer.end_offsets(partitions)
        assert sum(ends.values()) == 101
    finally:
        server.stop()
    assert server.running() is None


async def test_lag_is_what_a_group_has_not_committed(kafka: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.create_topics([NewTopic("stack.lag", 2, 1)])
        await admin.close()
        for number in range(10):
            await producer.send_and_wait("stack.lag", b"x", partition=number % 2)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id="salur-lagging", enable_auto_commit=False)
    async with consumer:
        consumer.assign([TopicPartition("stack.lag", 0), TopicPartition("stack.lag", 1)])
        await consumer.commit({TopicPartition("stack.lag", 0): 2, TopicPartition("stack.lag", 1): 4})
    settings = KafkaSettings(kafka=kafka)
    assert await lags(settings, ["lagging", "unheard"]) == {"lagging": 4, "unheard": None}
    away = KafkaSettings(kafka=f"{LOOPBACK}:9")
    assert await lags(away, ["lagging"], timeout_s=2) == {"lagging": None}


async def test_fresh_databases_are_apart(postgres: str, database: str) -> None:
    other = await fresh_database(postgres)
    assert len({postgres, database, other}) == 3
    connection = await asyncpg.connect(other)
    await connection.execute("CREATE TABLE mine ()")
    await drop_database(other)
    connection.terminate()
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT to_regclass('mine')") is None
    await connection.close()


def test_up_starts_what_is_missing_and_a_second_up_changes_nothing(home: Home) -> None:
    assert up(home, TINY, timeout_s=20) is True
    first = pids(home)
    assert list(first) == ["ground-0", "worker-0"]
    assert up(home, TINY, timeout_s=20) is False
    assert pids(home) == first
    assert status(home).healthy

    assert down(home) == ["worker-0", "ground-0"], "services stop before what they depend on"
    assert not any(Identity.of(pid) for pid in first.values() if pid)
    ports = PortBook(home.ports).port("worker-0")
    up(home, TINY, timeout_s=20)
    assert status(home).processes[1].port == ports, "ports are remembered"


def test_a_second_up_beside_the_first_says_so(home: Home) -> None:
    with hold(home.stack_lock, "up"), pytest.raises(Busy, match="salur up"):
        up(home, TINY)
    assert holder_of(home.supervisor_lock) is None


def test_a_crashed_process_is_restarted_with_back_off_and_shown_so(home: Home) -> None:
    up(home, TINY, timeout_s=20)
    port = status(home).processes[1].port
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://{LOOPBACK}:{port}/crash", timeout=5)
    wait_for(lambda s: worker(s) == (ProcessState.RESTARTING, 1), home)
    found = wait_for(lambda s: worker(s) == (ProcessState.READY, 1), home)
    assert found.processes[1].failure == "ended with exit code 3"
    assert found.processes[1].port == port
    assert found.processes[0].restarts == 0


def test_scale_adds_and_removes_instances_and_leaves_the_others(home: Home) -> None:
    up(home, TINY, timeout_s=20)
    before = pids(home)
    up(home, TINY._replace(scale={"worker": 3}), timeout_s=20)
    three = pids(home)
    assert list(three) == ["ground-0", "worker-0", "worker-1", "worker-2"]
    assert before.items() <= three.items()
    up(home, TINY._replace(scale={"worker": 1}), timeout_s=20)
    wait_for(lambda _: pids(home) == before, home)  # those that are leaving are shown until they have left
    with pytest.raises(CannotScale):
        up(home, TINY._replace(scale={"ground": 2}))


def test_down_and_up_find_what_a_killed_supervisor_left(home: Home) -> None:
    up(home, TINY._replace(scale={"worker": 2}), timeout_s=20)
    before = pids(home)
    supervisor = holder_of(home.supervisor_lock)
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    found = wait_for(lambda s: s.supervisor is None, home)
    assert not found.healthy
    assert pids(home) == before, "processes go on without their supervisor"

    assert up(home, TINY, timeout_s=20) is True
    assert pids(home) == before, "a new supervisor adopts them"
    os.kill(before["worker-1"] or 0, signal.SIGKILL)
    wait_for(lambda s: worker(s, 1)[0] == ProcessState.RESTARTING, home)
    wait_for(lambda s: worker(s, 1)[0] == ProcessState.READY, home)

    supervisor = holder_of(home.supervisor_lock)
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    wait_for(lambda s: s.supervisor is None, home)
    (home.root / "state.json").unlink()  # worst of all: killed before it could write
    down(home)
    assert not list(marked(home.root))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_up_stops_what_it_started(home: Home, number: signal.Signals) -> None:
    home.make()
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # a shell's `&` has it ignored
        "from salur.stack.control import *; from salur.stack.home import Home; "
        f"up(Home.at({str(home.root)!r}), Request(table={TINY.table!r}, options={{'worker': {{'fail': 'slow'}}}}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    wait_for(lambda s: [p.state for p in s.processes] == [ProcessState.READY, ProcessState.STARTING], home)
    process.send_signal(number)
    assert process.wait(60) != 0
    assert not list(marked(home.root))


def test_a_program_that_cannot_start_is_named_with_the_end_of_its_log(home: Home) -> None:
    request = TINY._replace(options={"worker": {"fail": "1"}})
    with pytest.raises(NotReady, match=r"worker-0 ended with exit code 1 4 times[\s\S]*told to fail"):
        up(home, request, timeout_s=20)
    with pytest.raises(NotReady, match=r"not ready after 1 s: worker-0 \(starting\)"):
        up(home, TINY._replace(options={"worker": {"fail": "slow"}}), timeout_s=1)


def test_a_port_that_somebody_took_is_replaced(home: Home) -> None:
    with socket.socket() as taker:
        taker.bind((LOOPBACK, 0))
        taker.listen()
        taken = taker.getsockname()[1]
        home.make()
        home.ports.write_text(json.dumps({"worker-0": taken}))
        up(home, TINY, timeout_s=20)
        assert status(home).processes[1].port != taken


def test_many_who_ask_for_a_new_port_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        ports = list(threads.map(lambda _: PortBook(tmp_path / "ports.json").port("kafka-2"), range(8)))
    assert len(set(ports)) == 1


def test_a_cluster_id_that_looks_like_an_option_is_replaced(home: Home) -> None:
    (home.root / "kafka").mkdir(parents=True)
    (home.root / "kafka" / "cluster-id").write_text("-t9sH1gCQ4KxB2nUo0vLpw")
    EmbeddedKafka(home.root).prepare()
    assert not (home.root / "kafka" / "cluster-id").read_text().startswith("-")
    assert (home.root / "kafka" / "data-1" / "meta.properties").exists()


def test_status_as_json_has_the_documented_shape(home: Home) -> None:
    up(home, TINY, timeout_s=20)
    done = subprocess.run(
        [sys.executable, "-c", "from salur.main import app; app()", "status", "--json", "--home", str(home.root)],
        capture_output=True,
        text=True,
        check=True,
    )
    document = json.loads(done.stdout)
    assert document.keys() >= {"kafka", "postgres", "processes"}
    for process in document["processes"]:
        assert process.keys() >= {"name", "instance", "pid", "port", "state", "restarts", "version"}
        assert process["state"] == "ready"

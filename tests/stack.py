"""The Kafka and the PostgreSQL that tests run on: given, in Docker, or embedded."""

import asyncio
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil

from salur.stack.kafka import KAFKA_VERSION, MESSAGE_BYTES_MAX, EmbeddedKafka
from salur.stack.postgres import POSTGRES_VERSION, EmbeddedPostgres, without_password
from salur.stack.process import Identity, alive

_HOME_PREFIX = "salur-test-"
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES_MIN = 16_000_000_000
"""Two workers with a Kafka and a PostgreSQL each, and beside them the demo and a chaos run, at their fullest."""
_KAFKA_IMAGE = "confluentinc/cp-kafka:8.1.0"
_POSTGRES_IMAGE = "postgres:18"


class TestStack:
    """Starts each server when it is first asked for, and stops all of them in `close`.

    An address in SALUR_KAFKA or SALUR_POSTGRES is used as it is. SALUR_TEST_STACK=docker takes testcontainers where an
    engine answers. Otherwise the embedded servers run in a temporary home.
    """

    __test__ = False

    def __init__(self) -> None:
        self._given = {"kafka": os.environ.get("SALUR_KAFKA"), "postgres": os.environ.get("SALUR_POSTGRES")}
        self._docker = os.environ.get("SALUR_TEST_STACK") == "docker" and _docker_answers()
        self._running: dict[str, str] = {}
        self._opened = ExitStack()
        self._home: Path | None = None

    def describe(self) -> str:
        """One line for the head of the test run; shows no password."""
        postgres = self._given["postgres"]
        return "salur stack: " + ", ".join(
            (
                self._describe("kafka", self._given["kafka"], _KAFKA_IMAGE, KAFKA_VERSION),
                self._describe("postgres", postgres and without_password(postgres), _POSTGRES_IMAGE, POSTGRES_VERSION),
            )
        )

    def kafka(self) -> str:
        """The bootstrap address."""
        return self._once("kafka", _kafka_container, lambda home: EmbeddedKafka(home))

    def postgres(self) -> str:
        """The URL of a database whose role may make databases and roles."""
        return self._once("postgres", _postgres_container, lambda home: EmbeddedPostgres(home))

    def close(self) -> None:
        self._opened.close()

    def _describe(self, name: str, given: str | None, image: str, version: str) -> str:
        return f"{name} " + (
            f"given ({given})" if given else f"in Docker ({image})" if self._docker else f"embedded {version}"
        )

    def _once(self, name: str, container: Callable[[], tuple[Any, str]], embedded: Callable[[Path], Any]) -> str:
        if given := self._given[name]:
            return given
        if name not in self._running:
            if self._docker:
                started, address = container()
                self._opened.callback(started.stop)
            else:
                server = embedded(self._temporary_home())
                self._opened.callback(server.stop)
                address = str(server.start())
            self._running[name] = address
        return self._running[name]

    def _temporary_home(self) -> Path:
        if self._home is None:
            remove_abandoned_homes()
            self._home = new_home()
            self._opened.callback(shutil.rmtree, self._home, ignore_errors=True)
        return self._home


def new_home(*, on_disk: bool = False) -> Path:
    """A temporary home that `remove_homes` clears away, or `remove_abandoned_homes` should this run be killed.

    In memory where there is plenty: tests make and drop hundreds of databases and thousands of topics, and a seventh of
    their time went into files. What is measured is on disk.
    """
    home = Path(tempfile.mkdtemp(prefix=_HOME_PREFIX, dir=None if on_disk or not _plenty() else _MEMORY))
    (home / "owner.json").write_text(json.dumps(Identity.of(os.getpid())))
    return home


def _plenty() -> bool:
    try:
        free = min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available)
    except OSError:
        return False
    return free >= _MEMORY_BYTES_MIN and os.access(_MEMORY, os.W_OK)


def remove_homes() -> None:
    """Those of this process, whose servers have stopped."""
    for home, owner in _homes():
        if owner == Identity.of(os.getpid()):
            shutil.rmtree(home, ignore_errors=True)


def _homes() -> Iterator[tuple[Path, Identity]]:
    """Of this user, wherever they are, with the process that made them."""
    for folder in (_MEMORY, Path(tempfile.gettempdir())):
        for home in folder.glob(f"{_HOME_PREFIX}*"):
            with suppress(OSError, ValueError, TypeError):
                if home.stat().st_uid == os.getuid():
                    yield home, Identity(*json.loads((home / "owner.json").read_text()))


def remove_abandoned_homes() -> None:
    """Stops servers of test runs that were killed, and removes their folders."""
    for home, owner in _homes():
        if alive(owner):
            continue
        for server in (EmbeddedKafka(home), EmbeddedPostgres(home)):
            server.kill()
        shutil.rmtree(home, ignore_errors=True)


async def fresh_database(postgres: str) -> str:
    """Makes an empty database beside the one at `postgres` and returns its URL."""
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return urlsplit(postgres)._replace(path=f"/{name}").geturl()


async def drop_database(url: str) -> None:
    """Removes a database that `fresh_database` made, with whoever is still connected to it."""
    name = urlsplit(url).path.removeprefix("/")
    assert name.startswith("test_")
    connection = await asyncpg.connect(urlsplit(url)._replace(path="/postgres").geturl())
    try:
        for _ in range(50):
            try:
                await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                return
            except asyncpg.InsufficientPrivilegeError:  # an autovacuum worker is in it and may not be ended by us
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


def _docker_answers() -> bool:
    import docker  # type: ignore[import-untyped]
    from docker.errors import DockerException  # type: ignore[import-untyped]

    try:
        return bool(docker.from_env(timeout=5).ping())
    except DockerException:
        return False


def _kafka_container() -> tuple[Any, str]:
    from testcontainers.community.kafka import KafkaContainer

    container = KafkaContainer(_KAFKA_IMAGE).with_kraft()
    for name, value in (
        ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false"),
        ("KAFKA_MESSAGE_MAX_BYTES", str(MESSAGE_BYTES_MAX)),
        ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
    ):
        container.with_env(name, value)
    container.start(timeout=120)
    return container, container.get_bootstrap_server()


def _postgres_container() -> tuple[Any, str]:
    from testcontainers.community.postgres import PostgresContainer

    container = PostgresContainer(_POSTGRES_IMAGE, username="salur", dbname="salur", driver=None).start()
    return container, container.get_connection_url()

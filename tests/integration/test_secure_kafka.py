"""Salur on a Kafka that asks for TLS and a name: given once to `salur up`, known to every service and command."""

import asyncio
import json
import os
import re
import shutil
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from click.testing import Result
from pydantic import SecretStr
from typer.testing import CliRunner

from salur.main import app
from salur.population import generate, reference_on
from salur.stack.control import Request, down, up
from salur.stack.home import Home
from salur.stack.ports import LOOPBACK
from salur.stack.process import marked
from salur.stack.programs import Context
from salur.stack.state import Wanted
from salur.stack.status import status
from shared.clock import now
from shared.errors import SalurError
from shared.events.topics import FLOW_TOPICS
from shared.kafka import admin, ensure_topics
from shared.settings import KafkaSettings
from tests.secure_kafka import PASSWORD, USER, Authority, SecureKafka
from tests.stack import drop_database, fresh_database, new_home

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def kafka() -> Iterator[SecureKafka]:
    server = SecureKafka(new_home())
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.home.root)


@pytest.fixture(scope="module")
async def home(kafka: SecureKafka, postgres: str) -> AsyncIterator[Home]:
    """Of a stack whose Kafka is the given one. Nothing of it stands in the environment any more."""
    database, home = await fresh_database(postgres), Home.at(new_home() / "given")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in kafka.settings.environment().items():
            environment.setenv(name, value)
        environment.setenv("SALUR_POSTGRES", database)
        environment.delenv("SALUR_KEYS", raising=False)
        up(home, Request.given()._replace(table="tests.integration.registry_only:PROGRAMS"))
    try:
        yield home
    finally:
        down(home)
        shutil.rmtree(home.root.parent)
        await drop_database(database)


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SALUR_")]:
        monkeypatch.delenv(name)


async def salur(home: Home, *arguments: str) -> Result:
    return await asyncio.to_thread(
        CliRunner().invoke, app, [*arguments], env={"SALUR_HOME": str(home.root)}, catch_exceptions=False
    )


@pytest.mark.usefixtures("no_environment")
async def test_a_file_goes_in_and_every_row_is_answered(home: Home, tmp_path: Path) -> None:
    generate(tmp_path, 20, 7, reference_on(now().date()))
    sent = await salur(home, "register", str(tmp_path / "registrations.csv"), "--source", "polman", "--json")
    assert sent.exit_code == 0, sent.output
    summary = json.loads(sent.stdout)
    assert summary["complete"]
    assert sum(summary["answers"].values()) == summary["rows"] > 0
    again = await salur(home, "register", str(tmp_path / "registrations.csv"), "--source", "polman", "--no-wait")
    assert again.exit_code == 0, again.output


@pytest.mark.usefixtures("no_environment")
async def test_commands_that_look_find_what_up_was_given(home: Home, kafka: SecureKafka) -> None:
    await ensure_topics(kafka.settings, FLOW_TOPICS)
    views = {view["topic"]: view for view in json.loads((await salur(home, "topics", "--json")).stdout)}
    assert views["recipient.registered"]["messages"] > 0
    checked = await salur(home, "topics", "check")
    assert checked.exit_code == 0, checked.output
    assert json.loads((await salur(home, "dlq", "list", "--json")).stdout) == []
    (registry,) = (await asyncio.to_thread(status, home)).processes
    assert registry.lag == 0
    assert PASSWORD not in (await salur(home, "status", "--json")).stdout
    assert home.wanted.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("no_environment")
async def test_up_passes_every_setting_on_to_services(home: Home, kafka: SecureKafka) -> None:
    context = Context(home, Wanted.load(home.wanted) or Wanted())
    env = context.programs["registry"].launch(context, 0).env
    assert kafka.settings.environment().items() <= env.items()
    assert (env["SALUR_KAFKA_SASL_USERNAME"], env["SALUR_KAFKA_SASL_PASSWORD"]) == (USER, PASSWORD)
    assert [name for _, name in marked(home.root)] == ["registry-0"], "no Kafka of its own"


def test_settings_go_to_another_folder_and_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = KafkaSettings(kafka_ca_file=Path("ca.pem"), partitions=48, replication=3)
    env = settings.environment()
    assert env["SALUR_KAFKA_CA_FILE"] == str(Path("ca.pem").resolve())
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert KafkaSettings() == settings.model_copy(update={"kafka_ca_file": Path("ca.pem").resolve()})


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "password": ({"kafka_sasl_password": SecretStr("x")}, "does not let salur in", "SALUR_KAFKA_SASL_PASSWORD"),
    "user": ({"kafka_sasl_username": "x"}, "does not let x in", "SALUR_KAFKA_SASL_USERNAME"),
    "no password": ({"kafka_sasl_password": None}, "SALUR_KAFKA_SASL_PASSWORD is not set", "SECURITY_PROTOCOL"),
    "mechanism": ({"kafka_sasl_mechanism": "PLAIN"}, "does not take PLAIN", "SALUR_KAFKA_SASL_MECHANISM"),
    "not trusted": ({"kafka_ca_file": None}, "certificate", "SALUR_KAFKA_CA_FILE (not set"),
    "no such file": ({"kafka_ca_file": Path("nowhere.pem")}, "SALUR_KAFKA_CA_FILE=nowhere.pem", "PEM"),
    "no TLS": ({"kafka_security_protocol": "PLAINTEXT"}, "speaks TLS", "SALUR_KAFKA_SECURITY_PROTOCOL (PLAINTEXT)"),
    "no name": ({"kafka_security_protocol": "SSL"}, "hangs up", "SALUR_KAFKA_SECURITY_PROTOCOL (SSL)"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_who_is_not_let_in_is_told_which_setting_to_look_at(what: str, kafka: SecureKafka) -> None:
    changes, message, hint = REFUSED[what]
    with pytest.raises(SalurError) as refused:
        await look(kafka.settings.model_copy(update=changes))
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert PASSWORD not in f"{refused.value.message} {refused.value.hint}"


async def test_the_brokers_name_and_authority_are_checked(kafka: SecureKafka, tmp_path: Path) -> None:
    stranger = kafka.settings.model_copy(update={"kafka_ca_file": Authority(tmp_path, "stranger").ca_file})
    with pytest.raises(SalurError, match="certificate") as refused:
        await look(stranger)
    assert "SALUR_KAFKA_CA_FILE" in refused.value.hint
    with pytest.raises(SalurError, match="not valid for 'localhost'") as refused:
        await look(kafka.settings.model_copy(update={"kafka": f"localhost:{kafka.port}"}))
    assert "SALUR_KAFKA must name" in refused.value.hint


async def look(settings: KafkaSettings) -> None:
    async with admin(settings) as client:
        await client.list_topics()


async def test_a_service_that_is_not_let_in_says_why_in_its_log(
    kafka: SecureKafka, database: str, home: Home, tmp_path: Path
) -> None:
    given = {**kafka.settings.environment(), "SALUR_KAFKA_SASL_PASSWORD": "wrong", "SALUR_POSTGRES": database}
    places = {"SALUR_KEYS": home.keys_of("registry"), "SALUR_SOURCES": home.root / "sources.json"}
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.registry"),
            env={**os.environ, **given, **{name: str(path) for name, path in places.items()}},
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(60):
            while "does not let salur in" not in (tmp_path / "log").read_text():
                assert process.returncode is None, (tmp_path / "log").read_text()
                await asyncio.sleep(0.1)
        assert "SALUR_KAFKA_SASL_PASSWORD" in (tmp_path / "log").read_text()
    finally:
        process.kill()
        await process.wait()


def test_closing_does_not_wait_for_a_broker_that_is_silent(tmp_path: Path) -> None:
    """With uvloop a client waited up to 30 s for the other side's goodbye, and a service with it, once in 20 starts."""
    authority, ended = Authority(tmp_path, "authority"), threading.Event()
    broker = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    broker.load_cert_chain(authority.sign("broker", LOOPBACK))
    settings = KafkaSettings(kafka_security_protocol="SSL", kafka_ca_file=authority.ca_file)
    with socket.create_server((LOOPBACK, 0)) as listener:

        def be_silent() -> None:
            with broker.wrap_socket(listener.accept()[0], server_side=True):
                ended.wait(30)

        async def come_and_go() -> None:
            trust = settings.client_options()["ssl_context"]
            _, writer = await asyncio.open_connection(*listener.getsockname(), ssl=trust)
            async with asyncio.timeout(5):
                writer.close()
                await writer.wait_closed()
            assert writer.is_closing()

        silent = threading.Thread(target=be_silent)
        silent.start()
        try:
            uvloop.run(come_and_go())
        finally:
            ended.set()
            silent.join()


def test_every_client_is_made_with_the_settings() -> None:
    made = 0
    for path in (path for folder in ("shared", "services", "salur") for path in (ROOT / folder).rglob("*.py")):
        for found in re.finditer(r"AIOKafka(?:Consumer|Producer|AdminClient)\(", path.read_text(encoding="utf-8")):
            arguments = found.string[found.end() : found.end() + 100].strip()
            assert re.match(r"\*\*[\w.]+\.client_options\(\)", arguments), f"{path}: {arguments}"
            made += 1
    assert made > 5

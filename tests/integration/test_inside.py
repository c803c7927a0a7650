"""`salur dlq`, `salur topics` and `salur trace` on a real Kafka and a real PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from click.testing import Result
from typer.testing import CliRunner

from salur.inside.connect import consumer
from salur.main import app
from shared import clock
from shared.events.topics import FLOW_TOPICS
from shared.kafka import admin, ensure_topics
from shared.partition import partition_of
from shared.runtime.deadletter import BODY_BYTES_MAX, Poison, dead_letter
from shared.runtime.letters import BY_HEADER, DEAD_LETTER_HEADER, Gone, body_of, letters
from shared.runtime.stage import Message
from tests.integration.audited import Sent, World, once, recipient
from tests.integration.toy import reader

REGISTERED, REPLAY = "recipient.registered", "replay.eligibility"
INTAKE = "registration.submitted.polman"
NIK = "7604014501900001"


@pytest.fixture
async def world(kafka: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    made = await World.open(kafka, database, tmp_path)
    environment = {"KAFKA": kafka, "POSTGRES": database, "KEYS": str(made.settings.keys), "HOME": str(tmp_path)}
    for name, value in environment.items():
        monkeypatch.setenv(f"SALUR_{name}", value)
    yield made
    await made.close()


async def salur(*arguments: str, stdin: str | None = None) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, input=stdin)


async def json_of(*arguments: str) -> Any:
    """What the command prints with --json; it must end well."""
    done = await salur(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
async def poisoned(world: World) -> str:
    """A recipient whose registration eligibility could not process: its facts are another person's."""
    await world.register(40)
    found: list[str] = []

    def swap(sent: Sequence[Sent]) -> list[Sent]:
        mine, other = (json.loads(one.value) for one in sent[:2])
        mine["data"]["eligibility"] = other["data"]["eligibility"]
        found.append(mine["subject"])
        return [sent[0]._replace(value=json.dumps(mine).encode()), *sent[1:]]

    await world.publish_falsified("registry", once(swap, REGISTERED))
    await world.decide()
    await world.publish("eligibility")
    return found[0]


async def test_dead_letters_are_listed_and_shown_masked(poisoned: str, world: World) -> None:
    assert await json_of("dlq", "list", "--service", "registry") == []
    (letter,) = await json_of("dlq", "list")
    assert (letter["service"], letter["recipient"], letter["code"]) == ("eligibility", poisoned, "handler_failed")
    assert letter["replayed_at"] is None
    shown = await json_of("dlq", "show", letter["id"][:8])
    assert shown["masked"] is True
    body = json.loads(shown["body"])
    assert (body["type"], body["subject"]) == (REGISTERED, poisoned)
    assert body["data"]["eligibility"].startswith("<sealed eli-")


async def test_a_body_is_opened_for_a_reason_that_is_written_down(poisoned: str, world: World, tmp_path: Path) -> None:
    (letter,) = await json_of("dlq", "list")
    assert (await salur("dlq", "show", letter["id"], "--open")).exit_code == 2
    opened = await json_of("dlq", "show", letter["id"], "--open", "--reason", "complaint 12")
    assert "<sealed" not in opened["body"]
    log = tmp_path / "openings.jsonl"
    line = json.loads(log.read_text())
    assert (line["id"], line["recipient"], line["reason"]) == (letter["id"], poisoned, "complaint 12")
    assert log.stat().st_mode & 0o077 == 0


async def test_a_letter_is_put_back_once(poisoned: str, world: World) -> None:
    (letter,) = await json_of("dlq", "list")
    assert (await salur("dlq", "replay", letter["id"])).exit_code == 2, "somebody must say who puts it back"
    (first,) = await json_of("dlq", "replay", letter["id"], "--by", "Ani")
    (second,) = await json_of("dlq", "replay", "--all", "--by", "Budi")
    assert (first["state"], second["state"]) == ("replayed", "already")
    assert "Ani" in second["detail"]
    async with reader(world.settings, REPLAY) as records:
        (record,) = records
    assert record.key == poisoned.encode()
    assert record.partition == partition_of(record.key, world.settings.partitions)
    headers = dict(record.headers)
    assert headers[DEAD_LETTER_HEADER] == letter["id"].encode()
    assert headers[BY_HEADER] == b"Ani"
    assert json.loads(record.value)["subject"] == poisoned
    assert await json_of("dlq", "list", "--waiting") == []
    (third,) = await json_of("dlq", "replay", "--service", "eligibility", "--by", "Budi", "--again")
    assert third["state"] == "replayed"


async def test_what_is_not_there_or_not_whole(world: World) -> None:
    nothing = await salur("dlq", "replay", "0123456789abcdef", "--by", "Ani")
    assert nothing.exit_code == 1
    assert "no dead letter" in str(nothing.exception)
    assert (await salur("dlq", "replay", "--by", "Ani")).exit_code == 2
    empty = Message("recipient.flagged", 3, 7, 1, b"x", None, 0)
    await _bury(world, empty)
    refused = await salur("dlq", "replay", "--all", "--by", "Ani", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)[0]["state"] == "empty"


async def test_what_a_source_wrote_in_anothers_name_stays_where_it_is(poisoned: str, world: World) -> None:
    forged = {"type": "flag.submitted", "source": "dukcapil", "id": "x-1"}
    await _bury(world, Message("flag.submitted.bkn", 3, 7, None, b"x", json.dumps(forged).encode(), 0))
    done = await salur("dlq", "replay", "--all", "--by", "Ani", "--json")
    assert done.exit_code == 1
    assert sorted(one["state"] for one in json.loads(done.stdout)) == ["refused", "replayed"]
    assert "dukcapil" not in done.stdout
    async with reader(world.settings, REPLAY) as records:
        assert [record.key for record in records] == [poisoned.encode()]


async def test_a_large_body_is_fetched_from_where_it_came(world: World) -> None:
    await ensure_topics(world.settings, [INTAKE])
    value = b"{" + b" " * (BODY_BYTES_MAX + 1) + b"}"
    sent = await _send(world, INTAKE, value)
    await _bury(world, Message(INTAKE, sent.partition, sent.offset, None, b"stranger", value, 0))
    async with consumer(world.inside) as client, consumer(world.inside) as bodies:
        (letter,) = [one async for one in letters(client, world.inside, "eligibility")]
        assert letter.data.body is None
        assert await body_of(bodies, letter, world.keyring) == value
        async with admin(world.settings) as broker:
            await broker.delete_records({TopicPartition(INTAKE, sent.partition): _up_to(sent.offset + 1)})
        with pytest.raises(Gone):
            await body_of(bodies, letter, world.keyring)


async def test_topics(world: World) -> None:
    await ensure_topics(world.settings, [INTAKE])
    await world.register(40)
    await world.publish("registry")
    partition = partition_of(recipient(0).encode(), world.settings.partitions)
    await _commit(world, "salur-eligibility", REGISTERED, partition, 1)
    views = {view["topic"]: view for view in await json_of("topics")}
    assert set(views) == {*FLOW_TOPICS, INTAKE}
    registered = views[REGISTERED]
    assert (registered["owner"], registered["messages"], registered["partitions"]) == ("registry", 40, 8)
    assert registered["retention_ms"] == -1
    assert registered["bytes"] > 20_000
    async with reader(world.settings, REGISTERED) as records:
        behind = sum(record.partition == partition for record in records) - 1
    assert registered["lag"]["salur-eligibility"] >= behind
    assert views[INTAKE]["owner"] == "sources"
    assert views[INTAKE]["retention_ms"] == 7 * 24 * 3600 * 1000
    assert "recipient.registered" in (await salur("topics")).stdout


async def test_a_missing_topic_is_a_fault(world: World) -> None:
    async with admin(world.settings) as client:
        await client.delete_topics(["payout.queued"])
        while "payout.queued" in await client.list_topics():
            await asyncio.sleep(0.05)
    done = await salur("topics")
    assert done.exit_code == 1
    assert "payout.queued" in done.stdout


@pytest.fixture
async def told(world: World) -> World:
    """Some recipients with decisions, one of them of a known NIK, another with a payout."""
    await world.register_people({world.keyring.recipient_id(NIK): 500})
    await world.register(20)
    await world.publish("registry")
    await world.decide()
    await world.publish("eligibility")
    return world


async def test_a_recipients_story(told: World) -> None:
    story = await json_of("trace", recipient(3))
    assert story["recipient"] == recipient(3)
    registered, *decisions = story["steps"]
    assert (registered["type"], registered["cause"]) == (REGISTERED, "file-3")
    assert {step["cause"] for step in decisions} == {registered["id"]}
    assert len({step["trace"] for step in story["steps"]} - {None}) == 1
    assert {step["data"]["programme"] for step in decisions} == {"sembako", "pkh", "bantuan-polman"}
    assert {step["partition"] for step in story["steps"]} == {partition_of(recipient(3).encode(), 8)}
    assert story["now"]["registry"]["recipient"][0]["village"] == "7604031005"
    assert len(story["now"]["eligibility"]["decisions"]) == 3
    sealed = registered["data"]["eligibility"]
    assert sealed.startswith("<sealed eli-")
    indonesian, english = await salur("trace", recipient(3)), await salur("trace", recipient(3), "--lang", "en")
    assert "terdaftar" in indonesian.stdout
    assert "Rp200.000" in indonesian.stdout
    assert "registered (new)" in english.stdout
    assert "polman/file-3" in english.stdout


async def test_a_nik_comes_from_standard_input_only(told: World) -> None:
    done = await salur("trace", "--nik-stdin", "--json", stdin=NIK + "\n")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["recipient"] == told.keyring.recipient_id(NIK)
    assert NIK not in done.output
    assert (await salur("trace", NIK)).exit_code == 2
    assert (await salur("trace", "--nik-stdin", stdin="12\n")).exit_code == 1
    assert (await salur("trace")).exit_code == 2


async def test_a_payouts_reference_leads_to_its_recipient(told: World) -> None:
    await told.execute(
        "payout",
        f"""
        INSERT INTO cycle (cycle, programme, period, mode, budget_idr, state, proposed_by, proposed_at)
        VALUES ('sembako-2026-11', 'sembako', '2026-11', 'continuous', 1, 'proposed', 'Ani', now());
        INSERT INTO payout (recipient_id, cycle, programme, state, attempt, revision, decision_revision, amount_idr,
            village, rank_class, rank_decile, waiting_since, channel, reference, since, cause_id, correlation_id,
            traceparent)
        VALUES ('{recipient(4)}', 'sembako-2026-11', 'sembako', 'queued', 1, 1, 1, 200000, '7604031005', 0, 1, now(),
            'himbara', 'ABCDEFGHIJKLMNOPQRST', now(), 'c', 'c', 't');
        """,
    )
    story = await json_of("trace", "ABCDEFGHIJKLMNOPQRST")
    assert story["recipient"] == recipient(4)
    assert story["now"]["payout"]["payouts"][0]["state"] == "queued"
    unknown = await salur("trace", "NOSUCHREFERENCE")
    assert unknown.exit_code == 1
    stranger = await salur("trace", recipient(9999))
    assert stranger.exit_code == 1
    assert "nothing is known" in str(stranger.exception)


async def test_servers_that_are_away_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALUR_KAFKA", "127.0.0.1:9")
    monkeypatch.setenv("SALUR_POSTGRES", "postgresql://salur:secret@127.0.0.1:9/salur")
    for arguments in (("topics",), ("dlq", "list"), ("trace", recipient(1))):
        done = await salur(*arguments)
        assert done.exit_code == 1
        assert "Kafka at 127.0.0.1:9 does not answer" in str(done.exception)
    audit = await salur("audit", "verify")
    assert audit.exit_code == 1
    assert "the database of registry at 127.0.0.1:9" in str(audit.exception)
    assert "secret" not in str(audit.exception)


def _up_to(offset: int) -> Any:
    from aiokafka.admin import RecordsToDelete

    return RecordsToDelete(before_offset=offset)


async def _bury(world: World, message: Message) -> None:
    """A dead letter of eligibility about this message, published."""
    letter = dead_letter("eligibility", world.keyring, message, Poison("not_json", "no JSON"), clock.now())
    async with world.outbox("eligibility").transaction() as transaction:
        transaction.emit([letter])
    await world.publish("eligibility")


async def _send(world: World, topic: str, value: bytes) -> Any:
    producer = AIOKafkaProducer(**world.settings.client_options(), acks="all")
    await producer.start()
    try:
        return await producer.send_and_wait(topic, value, key=b"stranger")
    finally:
        await producer.stop()


async def _commit(world: World, group: str, topic: str, partition: int, offset: int) -> None:
    client = AIOKafkaConsumer(**world.settings.client_options(), group_id=group, enable_auto_commit=False)
    await client.start()
    try:
        place = TopicPartition(topic, partition)
        client.assign([place])
        await client.commit({place: OffsetAndMetadata(offset, "")})
    finally:
        await client.stop()

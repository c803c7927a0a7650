"""`verify` on a real Kafka and a real PostgreSQL: what is right passes, and whatever is falsified is named."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from salur.inside.audit import AuditResult, Kind, verify
from salur.inside.resume import resume_after_breaker
from salur.main import app
from shared.events.topics import OWNERS, STAGES, Service
from shared.partition import partition_of
from shared.postgres import migrate
from tests.integration.audited import Sent, World, once, recipient

DECIDED, REGISTERED = "eligibility.decided", "recipient.registered"
COUNT = 60


@pytest.fixture
async def world(kafka: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    made = await World.open(kafka, database, tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def flowed(world: World) -> World:
    """Registered and decided, everything published."""
    await world.register(COUNT)
    await world.publish("registry")
    await world.decide()
    await world.publish("eligibility")
    return world


async def audited(world: World) -> AuditResult:
    return await verify(world.inside, ("registry", "eligibility"))


def kinds(result: AuditResult) -> set[Kind]:
    return set(result.counts)


async def test_what_is_right_passes(flowed: World) -> None:
    result = await audited(flowed)
    assert result.findings == []
    assert result.ok
    events = {topic.topic: topic.events for topic in result.topics}
    assert events[REGISTERED] == COUNT
    assert events[DECIDED] == 3 * COUNT
    tables = {table.table: table for stage in result.stages for table in stage.tables}
    assert tables["submission"].agreeing == tables["recipient"].agreeing == COUNT
    assert tables["decision"].agreeing == 3 * COUNT
    assert (result.gaps, result.digest_mismatches, result.row_mismatches, result.republications) == (0, 0, 0, 0)


async def test_the_monitor_is_audited_where_it_ever_ran(world: World, database: str) -> None:
    assert [one.stage for one in (await verify(world.inside)).stages] == list(STAGES)
    await migrate(database, "monitor")
    result = await verify(world.inside)
    assert [one.stage for one in result.stages] == list(OWNERS)
    assert result.ok
    connection = await asyncpg.connect(database)
    await connection.execute(
        """
        INSERT INTO monitor.alert
        VALUES ('sequence-gap', 'payout.ordered/3', 1, 'critical', now(), 1, 0, 'docs/runbooks/sequence-gap.md', '{}',
            now(), 'an event that was never written')
        """
    )
    await connection.close()
    (finding,) = (await verify(world.inside)).findings
    assert (finding.stage, finding.table, finding.key) == ("monitor", "alert", "sequence-gap/payout.ordered/3/1")


async def test_values_under_newer_keys_are_held_against_the_event_that_told_them(flowed: World) -> None:
    """An account of the same person from before opens there too: that it was put back shows nowhere else."""
    await flowed.reseal([recipient(number) for number in range(COUNT)])
    await flowed.publish("registry")
    await flowed.decide()
    result = await audited(flowed)
    assert result.ok, result.findings
    tables = {table.table: table for stage in result.stages for table in stage.tables}
    assert tables["recipient (resealed)"].rows == tables["recipient (sealed)"].agreeing == COUNT
    before = await flowed.pools["eligibility"].fetchval(
        "SELECT payment FROM recipient WHERE recipient_id = $1", recipient(7)
    )
    await flowed.reseal([recipient(7)])
    await flowed.publish("registry")
    await flowed.decide()
    assert (await audited(flowed)).ok
    for stage in ("eligibility", "registry"):
        await flowed.execute(stage, f"UPDATE recipient SET payment = '{before}' WHERE recipient_id = '{recipient(7)}'")
    result = await audited(flowed)
    assert kinds(result) == {Kind.ROW_DIFFERS}
    assert sorted((finding.stage, finding.table) for finding in result.findings) == [
        ("eligibility", "recipient (resealed)"),
        ("registry", "recipient (sealed)"),
    ]


async def test_stages_that_have_done_nothing_pass(world: World) -> None:
    result = await verify(world.inside)
    assert result.ok
    assert [stage.stage for stage in result.stages] == ["registry", "eligibility", "payout", "notify", "portal"]


async def test_what_waits_in_the_outbox_counts(world: World) -> None:
    await world.register(COUNT)
    result = await audited(world)
    assert result.ok, result.findings
    registered = next(topic for topic in result.topics if topic.topic == REGISTERED)
    assert (registered.events, registered.in_outbox) == (COUNT, COUNT)
    await world.execute("registry", "UPDATE outbox SET payload = overlay(payload PLACING '\\x21' FROM 60)")
    assert Kind.DIGEST in kinds(await audited(world))


async def test_it_is_right_while_the_flow_runs(flowed: World) -> None:
    """What is committed and published while an audit reads is the next audit's."""
    stopping = asyncio.Event()

    async def flow() -> int:
        number = 1000
        while not stopping.is_set():
            await flowed.register(20, start=number)
            if number % 3:
                await flowed.publish("registry")
            number += 20
        return number

    flowing = asyncio.create_task(flow())
    results = [await audited(flowed) for _ in range(6)]
    stopping.set()
    registered = await flowing - 1000 + COUNT
    for result in results:
        assert result.ok, result.findings
    events = [topic.events for result in results for topic in result.topics if topic.topic == REGISTERED]
    assert events == sorted(events)
    assert COUNT <= events[0] < events[-1] <= registered


async def test_one_byte_of_one_event(world: World) -> None:
    """The last event about a recipient: the partition is named by its digest, the recipient by their row."""
    changed = []

    def flip(sent: Sequence[Sent]) -> list[Sent]:
        one = sent[1]
        value = one.value.replace(b'"7604031005"', b'"7604031006"')
        assert value != one.value
        changed.append(one)
        return [sent[0], one._replace(value=value), *sent[2:]]

    await world.register(COUNT)
    await world.publish_falsified("registry", once(flip, REGISTERED))
    result = await verify(world.inside, ("registry",))
    assert kinds(result) == {Kind.DIGEST, Kind.ROW_DIFFERS}
    digest, row = sorted(result.findings, key=lambda finding: finding.kind)
    assert digest.topic == row.topic == REGISTERED
    assert digest.partition == row.partition
    assert row.key == changed[0].key.decode()
    assert row.sequence == changed[0].sequence
    assert "village is 7604031005, the event says 7604031006" in row.detail


async def test_a_byte_that_no_row_knows(world: World) -> None:
    def flip(sent: Sequence[Sent]) -> list[Sent]:
        value = sent[2].value.replace(b"/salur/registry", b"/salur/Registry")
        return [*sent[:2], sent[2]._replace(value=value), *sent[3:]]

    await world.register(COUNT)
    await world.publish_falsified("registry", once(flip, REGISTERED))
    result = await verify(world.inside, ("registry",))
    assert kinds(result) == {Kind.DIGEST}
    assert result.findings[0].topic == REGISTERED


FALSIFIED: list[tuple[Callable[[list[Sent]], list[Sent]], set[Kind]]] = [
    (lambda sent: [*sent[:1], *sent[2:]], {Kind.GAP, Kind.ROW_UNTOLD}),
    (lambda sent: sent[:-1], {Kind.MISSING, Kind.ROW_UNTOLD}),
    (lambda sent: [sent[1], sent[0], *sent[2:]], {Kind.GAP, Kind.ROW_UNTOLD}),
    (lambda sent: [*sent, sent[-1]._replace(sequence=sent[-1].sequence + 1)], {Kind.UNKNOWN_TO_DATABASE}),
    (lambda sent: [*sent, sent[0]._replace(value=sent[0].value + b" ")], {Kind.REPUBLICATION_DIFFERS}),
    (lambda sent: [sent[0]._replace(key=b"r-other"), *sent[1:]], {Kind.DIGEST, Kind.UNREADABLE, Kind.ROW_UNTOLD}),
    (lambda sent: [sent[0]._replace(value=b"[]"), *sent[1:]], {Kind.DIGEST, Kind.UNREADABLE, Kind.ROW_UNTOLD}),
    (lambda sent: sent, set()),
]
"""Dropped, cut off, reordered, forged, falsely re-published, under another key, no event at all; and left alone."""


async def test_falsified_partitions(world: World) -> None:
    """Each partition in another way: what is found of each is what was done to it."""
    await world.register(COUNT)
    changes = iter(FALSIFIED)
    await world.publish_falsified("registry", lambda topic, sent: next(changes)[0](sent))
    assert next(changes, None) is None, "one batch a partition"
    result = await verify(world.inside, ("registry",))
    found: dict[int, set[Kind]] = {p: set() for p in range(len(FALSIFIED))}
    numbers = {f"polman/file-{number}": recipient(number) for number in range(COUNT)}
    for finding in result.findings:
        partition = finding.partition
        if partition is None:
            assert finding.key
            partition = partition_of(numbers.get(finding.key, finding.key).encode(), len(FALSIFIED))
        found[partition].add(finding.kind)
    assert found == {p: kinds for p, (_, kinds) in enumerate(FALSIFIED)}


async def test_a_faithful_republication_is_no_fault(world: World) -> None:
    await world.register(COUNT)
    await world.publish_falsified("registry", once(lambda sent: [*sent, *sent[:2]], REGISTERED))
    result = await verify(world.inside, ("registry",))
    assert result.ok, result.findings
    assert result.republications == 2


async def test_a_message_without_a_sequence(flowed: World) -> None:
    from tests.integration.toy import put

    await put(flowed.settings, DECIDED, 3, b"{}")
    result = await audited(flowed)
    assert kinds(result) == {Kind.NO_SEQUENCE}
    assert (result.findings[0].topic, result.findings[0].partition) == (DECIDED, 3)


async def test_who_let_a_stage_go_on_is_shown(flowed: World) -> None:
    await resume_after_breaker(flowed.inside, "eligibility", "abdul", "the release was rolled back")
    result = await audited(flowed)
    assert result.ok
    (one,) = (one for stage in result.stages for one in stage.resumptions)
    assert (one.topic, one.resumed_by, one.reason) == (None, "abdul", "the release was rolled back")


ONE, TWO, OTHER = recipient(1), recipient(2), recipient(9999)
ROWS: list[tuple[Service, str, str, str, Kind]] = [
    ("eligibility", f"UPDATE decision SET amount_idr = 300000 WHERE recipient_id = '{ONE}' AND programme = 'sembako'",
     "decision", f"{ONE}/sembako", Kind.ROW_DIFFERS),
    ("eligibility", f"DELETE FROM decision WHERE recipient_id = '{TWO}' AND programme = 'bantuan-polman'",
     "decision", f"{TWO}/bantuan-polman", Kind.ROW_MISSING),
    ("eligibility", f"UPDATE recipient SET payment = (SELECT payment FROM recipient WHERE recipient_id = '{TWO}') "
     f"WHERE recipient_id = '{ONE}'", "recipient (registration)", ONE, Kind.ROW_DIFFERS),
    ("eligibility", f"UPDATE recipient SET decile = 10 - decile WHERE recipient_id = '{TWO}'",
     "recipient (registration)", TWO, Kind.ROW_DIFFERS),
    ("registry", f"UPDATE recipient SET payment = NULL WHERE recipient_id = '{ONE}'",
     "recipient (sealed)", ONE, Kind.ROW_DIFFERS),
    ("registry", f"UPDATE recipient SET revision = 2 WHERE recipient_id = '{TWO}'",
     "recipient", TWO, Kind.ROW_DIFFERS),
    ("registry", f"UPDATE recipient SET won_id = 'file-x' WHERE recipient_id = '{TWO}'",
     "recipient (won by)", TWO, Kind.ROW_DIFFERS),
    ("registry", "UPDATE submission SET detail = 'updated' WHERE id = 'file-1'",
     "submission", "polman/file-1", Kind.ROW_DIFFERS),
    ("registry", f"INSERT INTO person VALUES ('{OTHER}', 1)", "person", OTHER, Kind.ROW_UNTOLD),
    ("registry", f"INSERT INTO flag VALUES ('{ONE}', 'deceased', true, '2026-11-01', now(), 'x', 'y')",
     "flag", ONE, Kind.ROWS_CONTRADICT),
]  # fmt: skip


async def test_single_rows(flowed: World) -> None:
    """Every row that was changed is named, and no other."""
    for service, sql, *_ in ROWS:
        assert (await flowed.execute(service, sql)).endswith(" 1"), sql
    result = await audited(flowed)
    found = {(f.stage, f.table, f.key, f.kind) for f in result.findings}
    assert found == {(service, table, key, kind) for service, _, table, key, kind in ROWS}
    assert result.row_mismatches == len(ROWS) == sum(result.counts.values())


async def test_the_databases_own_head(flowed: World) -> None:
    await flowed.execute(
        "registry",
        "UPDATE output_position SET digest = sha256('x') WHERE topic = 'recipient.registered' AND partition = 5",
    )
    result = await audited(flowed)
    assert kinds(result) == {Kind.DIGEST}
    assert (result.findings[0].topic, result.findings[0].partition) == (REGISTERED, 5)


async def test_a_dead_letter_excuses_what_could_not_be_copied(world: World) -> None:
    """Facts that do not open are poison for eligibility: it has no row, and says why."""
    await world.register(1)
    await world.register(COUNT, start=10)
    await world.execute(
        "registry",
        f"UPDATE recipient SET eligibility = (SELECT eligibility FROM recipient WHERE recipient_id = '{recipient(0)}')",
    )
    sealed = await world.pools["registry"].fetchval("SELECT DISTINCT eligibility FROM recipient")

    def spoil(sent: Sequence[Sent]) -> list[Sent]:
        event = json.loads(sent[0].value)
        event["data"]["eligibility"] = sealed
        return [sent[0]._replace(value=json.dumps(event).encode()), *sent[1:]]

    await world.publish_falsified("registry", once(spoil, REGISTERED))
    await world.decide()
    await world.publish("eligibility")
    result = await verify(world.inside, ("eligibility",))
    assert result.ok, result.findings
    tables = {table.table: table for stage in result.stages for table in stage.tables}
    assert tables["recipient (registration)"].excused == 1
    letters = next(topic for topic in result.topics if topic.topic == "dead-letter.eligibility")
    assert letters.events == 1


async def test_the_command(flowed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("KAFKA", flowed.settings.kafka), ("POSTGRES", flowed.settings.url("registry"))):
        monkeypatch.setenv(f"SALUR_{name}", value)
    right = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "verify", "registry", "eligibility", "--json"])
    assert right.exit_code == 0, right.output
    assert json.loads(right.stdout)["ok"] is True
    await flowed.execute("registry", f"UPDATE recipient SET village = '7604010001' WHERE recipient_id = '{ONE}'")
    wrong = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "verify", "registry"])
    assert wrong.exit_code == 1
    assert ONE in wrong.output
    unknown = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "verify", "postal"])
    assert unknown.exit_code == 2

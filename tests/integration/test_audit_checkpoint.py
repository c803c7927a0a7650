"""Checkpoints on a real Kafka and a real PostgreSQL: what was appended passes, whatever is older may not change.

In most of these tests topic and database are falsified to agree with each other, so that only a checkpoint can tell.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from salur.inside.audit import AuditResult, Kind, Since, ledger, verify
from salur.inside.audit import checkpoint as checkpoints
from salur.inside.audit.checkpoint import Checkpoint, NotSigned
from salur.inside.audit.heads import WentBack, make
from salur.inside.audit.signing import SigningKey
from salur.main import app
from shared.runtime.digest import extend
from tests.integration.audited import Sent, World, once
from tests.integration.toy import reader

REGISTERED = "recipient.registered"
COUNT = 60
KEY = SigningKey(Ed25519PrivateKey.generate())
CYCLE = "sembako-2026-11"


@pytest.fixture
async def world(kafka: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    made = await World.open(kafka, database, tmp_path)
    yield made
    await made.close()


async def verified(world: World, *since: Checkpoint, only_new: bool = False) -> AuditResult:
    """Registry and payout; topics and ledger alone, since rows would tell of more than checkpoints do."""
    return await verify(world.inside, ("registry", "payout"), rows=False, since=Since(since, only_new))


def named(result: AuditResult) -> list[tuple[Kind, str | None, int | None]]:
    return [(finding.kind, finding.topic, finding.partition) for finding in result.findings]


async def rewrite_heads(world: World) -> None:
    """Makes the database say what the topic holds, as whoever rewrites both sides would."""
    chains: dict[int, tuple[int, bytes]] = {}
    async with reader(world.settings, REGISTERED) as records:
        for record in records:
            expected, digest = chains.get(record.partition, (0, b""))
            if int(dict(record.headers)["sequence"]) == expected:
                digest = extend(digest, expected, record.key, list(record.headers), record.value)
                chains[record.partition] = (expected + 1, digest)
    for partition, (following, digest) in chains.items():
        await world.execute(
            "registry",
            f"UPDATE output_position SET next_sequence = {following}, digest = '\\x{digest.hex()}' "
            f"WHERE topic = '{REGISTERED}' AND partition = {partition}",
        )


async def order(world: World, recipients: range) -> None:
    """Reserves and sends for each of these recipients, after the cycle was funded."""
    await world.execute(
        "payout",
        f"""
        INSERT INTO cycle (cycle, programme, period, mode, budget_idr, state, proposed_by, proposed_at)
        VALUES ('{CYCLE}', 'sembako', '2026-11', 'continuous', 100000000, 'proposed', 'Ani', now())
        ON CONFLICT DO NOTHING;
        INSERT INTO transfer (cycle, kind, debit_account, credit_account, amount_idr, at)
        SELECT '{CYCLE}', 'fund', 'treasury', 'budget', 100000000, now()
        WHERE NOT EXISTS (SELECT FROM transfer WHERE kind = 'fund');
        INSERT INTO transfer (cycle, recipient_id, attempt, kind, debit_account, credit_account, amount_idr, at)
        SELECT '{CYCLE}', 'r-' || n, 1, kind, debit, credit, 200000, now()
        FROM generate_series({recipients.start}, {recipients.stop - 1}) AS n,
            (VALUES ('reserve', 'budget', 'reserved'), ('send', 'reserved', 'in_transit')) AS t (kind, debit, credit)
        ORDER BY n, kind;
        """,
    )


async def test_what_was_only_appended_passes(world: World) -> None:
    await world.register(COUNT)
    await order(world, range(10))
    first = await make(world.inside, KEY)
    assert (first.ledger.transfers, first.previous) == (21, None)
    assert sum(head.next_sequence for head in first.heads) == COUNT
    await world.publish("registry")
    assert named(await verified(world, first)) == []

    await world.register(COUNT, start=COUNT)
    await order(world, range(10, 20))
    second = await make(world.inside, KEY, first)
    assert second.previous == first.sha256
    await world.register(10, start=2 * COUNT)  # in the outbox alone
    result = await verified(world, second, first)
    assert named(result) == []
    assert [(one.heads, one.transfers) for one in result.since] == [(8, 41), (8, 21)]
    assert result.events == 2 * COUNT + 10


async def test_only_what_is_new_is_read(world: World) -> None:
    """Also where re-publications have moved the offsets, and whatever became of what is older."""
    await world.register(COUNT)
    await world.publish_falsified("registry", lambda _, sent: [*_flipped(sent), *sent[1:], *sent[:2]])
    first = await make(world.inside, KEY)
    await world.register(COUNT, start=COUNT)
    await world.publish_falsified("registry", lambda _, sent: [*sent, *sent[-3:]])
    assert Kind.CHECKPOINT_DIFFERS in (await verified(world, first)).counts
    new = await verified(world, first, only_new=True)
    assert named(new) == []
    assert new.events == COUNT

    await world.register(COUNT, start=2 * COUNT)
    await world.publish_falsified("registry", once(lambda sent: [*_flipped(sent), *sent[1:]], REGISTERED))
    newer = await verified(world, first, only_new=True)
    assert [kind for kind, *_ in named(newer)] == [Kind.DIGEST]


async def test_only_what_is_new_must_follow_on_the_checkpoint(world: World) -> None:
    """A topic that was emptied holds nothing wrong, and not the checkpoint's last event either."""
    await world.register(COUNT)
    first = await make(world.inside, KEY)
    await world.execute("registry", "DELETE FROM outbox")
    result = await verified(world, first, only_new=True)
    assert {kind for kind, *_ in named(result)} == {Kind.CHECKPOINT_MISSING}
    assert len(named(result)) == len(first.heads)


def _flipped(sent: list[Sent]) -> list[Sent]:
    """The first of these messages, changed where no row and no reader would notice."""
    changed = sent[0].value.replace(b"/salur/registry", b"/salur/Registry")
    assert changed != sent[0].value
    return [sent[0]._replace(value=changed)]


REWRITTEN: list[tuple[Callable[[list[Sent]], list[Sent]], Kind, str]] = [
    (lambda sent: [sent[0], *_flipped(sent[1:]), *sent[2:]], Kind.CHECKPOINT_DIFFERS, "among sequences 0 to"),
    (lambda sent: sent[:-1], Kind.CHECKPOINT_MISSING, "the checkpoint of"),
    (lambda sent: [*sent[1:], sent[0]], Kind.CHECKPOINT_DIFFERS, "among sequences 0 to"),
]
"""An old byte, a tail that was cut off, other events in the same places; the sequences are made to fit."""


@pytest.mark.parametrize(("change", "kind", "words"), REWRITTEN)
async def test_both_sides_rewritten(
    world: World, change: Callable[[list[Sent]], list[Sent]], kind: Kind, words: str
) -> None:
    """Without the checkpoint nothing is wrong: topic and database agree."""
    await world.register(COUNT)
    first = await make(world.inside, KEY)
    touched: list[bytes] = []

    def renumbered(sent: list[Sent]) -> list[Sent]:
        touched.append(sent[0].key)
        return [one._replace(sequence=n) for n, one in enumerate(change(sent), sent[0].sequence)]

    await world.publish_falsified("registry", once(renumbered, REGISTERED))  # type: ignore[arg-type]
    await rewrite_heads(world)
    assert named(await verified(world)) == []
    result = await verified(world, first)
    assert set(result.counts) == {kind}
    assert {finding.topic for finding in result.findings} == {REGISTERED}
    [partition] = {finding.partition for finding in result.findings}
    async with reader(world.settings, REGISTERED) as records:
        assert {record.partition for record in records if record.key == touched[0]} == {partition}
    assert all(words in finding.detail and finding.sequence is not None for finding in result.findings)


async def test_a_later_checkpoint_narrows_it_down(world: World) -> None:
    await world.register(COUNT)
    first = await make(world.inside, KEY)
    await world.publish("registry")
    await world.register(COUNT, start=COUNT)
    second = await make(world.inside, KEY, first)
    await world.publish_falsified("registry", once(lambda sent: [*_flipped(sent), *sent[1:]], REGISTERED))
    await rewrite_heads(world)
    [finding] = (await verified(world, first, second)).findings
    before = {head.partition: head.next_sequence for head in first.heads}
    assert (finding.kind, finding.sequence) == (Kind.CHECKPOINT_DIFFERS, before[finding.partition or 0])
    assert second.made_at in finding.detail


LEDGER = [
    ("UPDATE transfer SET amount_idr = 1 WHERE recipient_id = 'r-3' AND kind = 'reserve'", "budget"),
    ("UPDATE transfer SET recipient_id = 'r-99' WHERE recipient_id = 'r-3'", ""),
    ("DELETE FROM transfer WHERE recipient_id = 'r-4'", "in_transit"),
    ("UPDATE transfer SET at = at + interval '1 microsecond' WHERE recipient_id = 'r-2' AND kind = 'send'", ""),
    (f"""INSERT INTO transfer OVERRIDING SYSTEM VALUE
         VALUES (0, '{CYCLE}', 'r-8', 2, 'reserve', 'budget', 'reserved', 5, now())""", "reserved"),
]  # fmt: skip
"""What is done to the ledger by somebody who has switched its triggers off, and an account that shows it."""


@pytest.mark.parametrize(("sql", "account"), LEDGER)
async def test_the_ledger_is_as_it_was(world: World, sql: str, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MARK_EVERY", 4)
    await order(world, range(9))
    first = await make(world.inside, KEY)
    assert len(first.ledger.marks) == 4
    assert first.ledger.balances_idr[CYCLE] == {
        "budget": 100_000_000 - 9 * 200_000, "in_transit": 9 * 200_000, "reserved": 0, "treasury": -100_000_000
    }  # fmt: skip
    await order(world, range(20, 22))
    assert named(await verified(world, first)) == []
    await world.execute("payout", f"ALTER TABLE transfer DISABLE TRIGGER USER; {sql}")
    result = await verified(world, first)
    [finding] = result.findings
    assert (finding.kind, finding.stage, finding.table) == (Kind.CHECKPOINT_LEDGER, "payout", "transfer")
    assert (f"{CYCLE} {account} Rp" in finding.detail) if account else ("balances" not in finding.detail)
    first_id, last_id = map(int, (finding.key or "").split("-"))
    assert 0 < last_id - first_id + 1 <= 4


async def test_no_transfer_slips_under_a_checkpoint(world: World) -> None:
    """One with a lower id that is committed late is waited for; one that is rolled back leaves a gap for ever."""
    await order(world, range(2))
    one, two, three = [
        await asyncpg.connect(world.settings.url("payout"), server_settings={"search_path": "payout"}) for _ in "123"
    ]
    insert = f"""
        INSERT INTO transfer (cycle, kind, debit_account, credit_account, amount_idr, at)
        VALUES ('{CYCLE}', 'regrant', 'returned', 'budget', 1, now()) RETURNING id
    """
    try:
        await one.execute("ALTER TABLE transfer DISABLE TRIGGER post_transfers")
        late, undone = one.transaction(), two.transaction()
        await late.start()
        await undone.start()
        ids = [await one.fetchval(insert), await two.fetchval(insert), await three.fetchval(insert)]
        assert ids == sorted(ids)
        making = asyncio.create_task(make(world.inside, KEY))
        await asyncio.sleep(0.5)
        assert not making.done()
        with pytest.raises(ledger.StillOpen):
            await ledger.settled(three, wait_s=0.1)
        await three.fetchval(insert)  # nobody waits for the checkpoint, and this is the next one's
        await undone.rollback()
        await late.commit()
        checkpoint = await making
    finally:
        for connection in (one, two, three):
            await connection.close()
    assert (checkpoint.ledger.last_id, checkpoint.ledger.transfers) == (ids[2], 7)
    assert named(await verified(world, checkpoint)) == []


async def test_a_database_that_went_back_gets_no_checkpoint(world: World) -> None:
    await world.register(COUNT)
    first = await make(world.inside, KEY)
    back = (
        f"UPDATE output_position SET next_sequence = next_sequence - 1 WHERE topic = '{REGISTERED}' AND partition = 5"
    )
    await world.execute("registry", back)
    with pytest.raises(WentBack, match=f"{REGISTERED}/5"):
        await make(world.inside, KEY, first)


async def test_the_commands(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (
        ("SALUR_KAFKA", world.settings.kafka),
        ("SALUR_POSTGRES", world.settings.url("registry")),
        ("SALUR_AUDIT_KEY", str(tmp_path / "audit" / "key.pem")),
    ):
        monkeypatch.setenv(name, value)

    async def salur(*words: str, code: int = 0) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, app, ["audit", *words])
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout

    await world.register(COUNT)
    shown = json.loads(await salur("key", "--json"))
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    made = json.loads(await salur("checkpoint", "--out", str(first), "--json"))
    assert (made["file"], made["events"], made["key"]) == (str(first), COUNT, shown["key"])
    assert shown["public_key"] in await salur("key")
    await salur("checkpoint", "--out", str(first), code=1)  # never overwritten
    await world.register(5, start=COUNT)
    assert "signed by" in await salur("checkpoint", "--out", str(second), "--after", str(first))
    (tmp_path / "public.pem").write_text(shown["pem"])
    both = ("verify", "registry", "--events-only", "--since", str(first), "--since", str(second))
    assert "8 heads" in await salur(*both, "--public-key", str(tmp_path / "public.pem"))
    result = json.loads(await salur(*both, "--only-new", "--json", "--public-key", shown["public_key"]))
    assert (result["ok"], len(result["since"])) == (True, 2)
    await salur(*both, code=2)  # whose signature?

    first.write_bytes(first.read_bytes().replace(b'"next_sequence":', b'"next_sequence":1', 1))
    done = await asyncio.to_thread(CliRunner().invoke, app, ["audit", *both, "--public-key", shown["public_key"]])
    assert isinstance(done.exception, NotSigned)
    assert str(first) in done.exception.message


async def test_another_key_signs_nothing(world: World, tmp_path: Path) -> None:
    """Not even a checkpoint that is right in everything else."""
    forger = SigningKey(Ed25519PrivateKey.generate())
    forged = await make(world.inside, forger)
    checkpoints.write(forged, tmp_path / "forged.json")
    assert checkpoints.read(tmp_path / "forged.json", forger.public) == forged
    with pytest.raises(NotSigned, match=forger.id):
        checkpoints.read(tmp_path / "forged.json", KEY.public)

"""The monitor on a real broker and database: counted and told once, through a kill, repetitions, a deaf webhook."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from salur.inside.audit import verify
from salur.inside.connect import Settings
from services.monitor.recovery import MonitorRecovery
from shared.events import (
    CycleApproved,
    DeadLetter,
    Event,
    Origin,
    PayoutConfirmed,
    PayoutFailed,
    Text,
    caused_by,
    first_cause,
)
from shared.events.codec import decode
from shared.events.topics import MODELS
from shared.runtime.recovery import recover
from tests.integration.monitor_desk import Desk, desk, minute_of
from tests.slow import takes_minutes

pytestmark = takes_minutes

CYCLE = "sembako-2026-11"
ACCOUNT = "a-" + "5" * 32
SAID = {"cycle": CYCLE, "programme": "sembako", "revision": 2, "decision_revision": 1, "village": "7604031005"}


def recipient(number: int) -> str:
    return f"r-{number:032x}"


def paid(number: int, at: datetime, account: str | None = None) -> Event[PayoutConfirmed]:
    data = PayoutConfirmed(
        **SAID,
        amount_idr=1_000,
        attempt=1,
        reference=f"R{number}",
        channel="himbara",
        bank_reference=f"B{number}",
        confirmed_at=at,
        account=account or f"a-{number:032x}",
    )
    return caused_by(first_cause(f"paid-{number}", "x"), "payout", data, subject=recipient(number), time=at)


def refused(number: int, at: datetime) -> Event[PayoutFailed]:
    text = Text(id="Rekening ditutup.", en="The account is closed.")
    data = PayoutFailed(
        **SAID,
        amount_idr=1_000,
        attempt=1,
        reference=f"R{number}",
        channel="himbara",
        code="account_closed",
        text=text,
    )
    return caused_by(first_cause(f"refused-{number}", "x"), "payout", data, subject=recipient(number), time=at)


def cycle(name: str, budget_idr: int, at: datetime) -> Event[CycleApproved]:
    data = CycleApproved(cycle=name, programme="sembako", period=name[8:], budget_idr=budget_idr, by="Budi")
    return caused_by(first_cause(name, "x"), "payout", data, subject=name, time=at)


def dead(number: int, at: datetime) -> Event[DeadLetter]:
    origin = Origin(topic="registration.submitted.polman", partition=0, offset=number)
    data = DeadLetter(origin=origin, code="not_json", reason="Invalid JSON", body_bytes=1)
    return caused_by(first_cause(f"dead-{number}", "x"), "registry", data, subject=f"d-{number}", time=at)


async def told(monitor: Desk, topic: str) -> list[Any]:
    """The monitor's own events of one type, with their sequences checked."""
    records = await monitor.records(topic)
    for partition in {record.partition for record in records}:
        sequences = [int(dict(r.headers)["sequence"]) for r in records if r.partition == partition]
        assert sorted(set(sequences)) == list(range(len(set(sequences))))
    return [decode(MODELS[topic], record.value) for record in records]


async def test_counted_once_raised_once_cleared_once(kafka: str, database: str, tmp_path: Path) -> None:
    async with desk(kafka, database, tmp_path / "keys.json") as monitor:
        now = minute_of(datetime.now(UTC))
        minutes = [now - timedelta(minutes=m, seconds=-5) for m in range(1, 16)]
        first = [
            cycle(CYCLE, 100_000, now - timedelta(hours=1)),
            *(paid(100 * m + n, at) for m, at in enumerate(minutes) for n in range(6)),
            *(refused(5_000 + 100 * m + n, at) for m, at in enumerate(minutes) for n in range(3)),
            *(paid(9_000 + n, minutes[0], ACCOUNT) for n in range(6)),
        ]
        expected = Counter(event.type for event in first)
        await monitor.start()
        await monitor.publish("payout", first)
        await monitor.publish("registry", [dead(n, minutes[1]) for n in range(7)])
        expected["dead-letter.registry"] = 7
        wanted = {
            ("payouts-failing", "himbara"),
            ("shared-account", ACCOUNT),
            ("dead-letters-growing", "dead-letter.registry"),
            ("budget-nearly-used", CYCLE),
            ("stage-silent", "notify"),
        }

        async def raised() -> tuple[bool, Any]:
            found = await monitor.open_alerts()
            return found.keys() == wanted, sorted(found)

        async def counted() -> tuple[bool, Any]:
            found = await monitor.counts()
            return found == dict(expected), (found, dict(expected))

        await monitor.until("alerts stand", raised)
        await monitor.until("everything is counted", counted)
        before = await monitor.open_alerts()
        assert before["shared-account", ACCOUNT]["value"] == 6
        assert before["budget-nearly-used", CYCLE]["value"] == 0.96
        assert before["payouts-failing", "himbara"]["advice"]["what"]["en"].endswith("the limit is 20%.")

        # More comes, the process is killed in the midst of it, and a publisher repeats everything.
        more = [paid(20_000 + n, minutes[0]) for n in range(400)]
        publishing = asyncio.create_task(monitor.publish("payout", more))
        await asyncio.sleep(0.3)
        await monitor.kill()
        await publishing
        expected[PayoutConfirmed.TYPE] += len(more)
        for topic in (PayoutConfirmed.TYPE, PayoutFailed.TYPE):
            await monitor.publish_again(topic)
        await monitor.start()
        await monitor.until("everything is counted once, still", counted)
        assert (await monitor.open_alerts()) == before | {
            key: alert for key, alert in (await monitor.open_alerts()).items() if key not in before
        }, "nothing was raised anew"

        # A number that never comes; and what stood is over.
        gap = await monitor.lose_one("dead-letter.registry")
        expected["dead-letter.registry"] += 1
        await monitor.publish(
            "payout", [paid(30_000 + 1_000 * m + n, at) for m, at in enumerate(minutes) for n in range(80)]
        )
        expected[PayoutConfirmed.TYPE] += 80 * len(minutes)
        await monitor.publish("payout", [cycle("sembako-2026-12", 10**9, now)])
        expected[CycleApproved.TYPE] += 1
        wanted -= {("payouts-failing", "himbara"), ("budget-nearly-used", CYCLE)}
        wanted |= {("sequence-gap", gap)}
        await monitor.until("the right ones are over", raised)
        await monitor.until("everything is counted once", counted)

        async def all_posted() -> tuple[bool, Any]:
            return len(monitor.hook.taken) == 8, monitor.hook.types

        await monitor.until("the webhook has them all", all_posted)
        ups, downs = await told(monitor, "alert.raised"), await told(monitor, "alert.cleared")
        keys = Counter((event.data.rule, event.data.about, event.data.raising) for event in ups)
        assert set(keys.values()) == {1}
        assert {key[:2] for key in keys} == wanted | {("payouts-failing", "himbara"), ("budget-nearly-used", CYCLE)}
        assert {(e.data.rule, e.data.about) for e in downs} == {
            ("payouts-failing", "himbara"),
            ("budget-nearly-used", CYCLE),
        }
        assert len(downs) == 2
        assert {e.causationid for e in downs} <= {e.id for e in ups}
        assert monitor.hook.types == {e.id: e.type for e in (*ups, *downs)}
        assert monitor.hook.forged == 0
        metrics = await monitor.get("/metrics")
        assert 'salur_alerts_open{level="critical",rule="sequence-gap"} 1.0' in metrics
        assert await monitor.stop() == 0

        told_of = monitor.settings
        audit = await verify(Settings(kafka=told_of.kafka, postgres=told_of.postgres), ("monitor",))
        assert (audit.ok, audit.findings) == (True, [])
        told_by = {topic.topic: topic.events for topic in audit.topics}
        assert (told_by["alert.raised"], told_by["alert.cleared"]) == (len(ups), len(downs))

        # Its database is lost. What it told is what it knows again.
        known = "SELECT * FROM monitor.alert ORDER BY rule, about, raising"
        connection = await asyncpg.connect(database)
        alerts = await connection.fetch(known)
        await connection.execute("DROP SCHEMA monitor CASCADE")
        done = await recover(monitor.settings, MonitorRecovery())
        assert done.older
        assert done.summary == {"alerts_raised": len(ups), "alerts_cleared": len(downs)}
        assert await connection.fetch(known) == alerts
        await connection.close()

"""The report on a stack that a population went through: it finds what was planted, and whatever is broken is named."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from salur.main import app
from salur.population.rates import FIRST_FLAG, INTAKE
from salur.report import Report
from salur.report.make import ORDER
from shared.events import RegistrationRejected
from tests.integration.reported import BUDGETS, FAMILIES, Reported, reported
from tests.stack import drop_database, fresh_database


@pytest.fixture(scope="module")
async def stack_at_rest(kafka: str, postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reported]:
    database = await fresh_database(postgres)
    async with reported(kafka, database, tmp_path_factory.mktemp("report")) as ready:
        yield ready
    await drop_database(database)


async def test_everything_holds_and_every_planted_defect_is_found(stack_at_rest: Reported) -> None:
    made = await stack_at_rest.report(audit=True)
    report = made.report
    assert {one.name: (one.broken, one.detail) for one in report.invariants} == {name: (0, []) for name in ORDER}
    assert made.good

    registrations, flags = report.funnel.submissions
    population = json.loads((stack_at_rest.home.root / "demo" / "population.json").read_text())["counts"]
    assert registrations.sent == registrations.answered == population["submissions"]
    assert flags.sent == flags.answered == population["flag_rows"]
    assert registrations.waiting == flags.waiting == 0
    assert report.funnel.recipients == registrations.answers["registered new"] == population["registered_people"]
    for one in report.funnel.programmes:
        assert one.decided == report.funnel.recipients
        assert one.eligible == one.queued + one.confirmed + one.failed
    assert sum(one.queued for one in report.funnel.programmes) > 0

    assert report.defects is not None
    by_name = {one.defect: one for one in report.defects.classes}
    for defect in (*INTAKE, *FIRST_FLAG, "flag_withdrawn"):
        found = by_name[defect]
        assert found.planted == population["defects"][defect]
        if defect != "spelling_variant":
            assert (found.found, found.missed, found.waiting) == (found.planted, 0, 0), defect
        assert found.false_alarm == 0
    assert report.defects.families == FAMILIES
    assert report.defects.kept_idr == sum(one.kept_idr or 0 for one in report.defects.classes) > 0
    assert report.defects.paid_idr == 0, "flags came first, so nobody excluded was paid"

    bank = report.money.bank
    assert bank is not None
    assert bank.ledger_idr == bank.amount_idr == sum(one.paid_idr for one in report.money.cycles) > 0
    assert bank.equal == bank.lines == bank.ledger_lines == sum(one.confirmed for one in report.money.cycles)
    for cycle in report.money.cycles:
        assert cycle.budget_idr == BUDGETS[cycle.programme][1]
        assert cycle.bank_idr == cycle.paid_idr <= cycle.budget_idr
        assert sum(cycle.failed_by_code.values()) == cycle.failed

    carrier = report.messages.carrier
    assert carrier is not None
    assert carrier.got == carrier.known == sum(one.got or 0 for one in report.messages.states) > 0
    stages = {one.stage: one for one in report.rates.stages}
    assert list(stages) == ["registry", "eligibility", "payout", "bank", "notify", "carrier"]
    assert stages["eligibility"].events == 3 * report.funnel.recipients
    assert all(one.latency_ms.count > 0 for one in stages.values())
    flow = report.rates.registered_to_confirmed
    assert flow is not None
    assert flow.payouts == bank.lines
    assert {"bank", "carrier", "registry", "eligibility", "payout", "notify"} <= stack_at_rest.worked


@pytest.mark.parametrize(
    ("service", "table", "where", "broken", "named"),
    [
        ("eligibility", "decision", "outcome = 'eligible'", "nothing_lost", "recipient_id"),
        ("eligibility", "recipient", "registration_revision > 0", "nothing_lost", "recipient_id"),
        ("payout", "decision", "eligible", "nothing_lost", "recipient_id"),
        ("payout", "payout", "state = 'queued'", "nothing_lost", "recipient_id"),
        ("payout", "payout", "state = 'confirmed'", "nothing_lost", "recipient_id"),
        ("registry", "recipient", "true", "nothing_lost", "recipient_id"),
        ("payout", "transfer", "kind = 'post'", "ledger_equals_bank", "recipient_id"),
        ("payout", "transfer", "kind = 'post'", "ledger_balanced", "recipient_id"),
        ("payout", "payout", "state = 'confirmed'", "ledger_equals_bank", "reference"),
        ("notify", "message", "state IN ('delivered', 'read')", "told_twice_on_a_channel", "message_id"),
    ],
)
async def test_a_lost_row_is_named(
    stack_at_rest: Reported, service: str, table: str, where: str, broken: str, named: str
) -> None:
    async with stack_at_rest.without(service, table, where) as row:
        one = await stack_at_rest.invariant(broken)
        assert one.broken
        assert any(row[named] in sentence for sentence in one.detail), one.detail


@pytest.mark.parametrize(
    ("broken", "service", "change", "back"),
    [
        (
            "ledger_balanced",
            "payout",
            "UPDATE account SET balance_idr = balance_idr + 1 WHERE name = 'paid'",
            "UPDATE account SET balance_idr = balance_idr - 1 WHERE name = 'paid'",
        ),
        (
            "budget_kept",
            "payout",
            "UPDATE cycle SET budget_idr = budget_idr - 999999999 WHERE cycle LIKE 'pkh%'",
            "UPDATE cycle SET budget_idr = budget_idr + 999999999 WHERE cycle LIKE 'pkh%'",
        ),
        (
            "ledger_equals_bank",
            "payout",
            "UPDATE transfer SET amount_idr = amount_idr + 1 WHERE kind = 'post'",
            "UPDATE transfer SET amount_idr = amount_idr - 1 WHERE kind = 'post'",
        ),
        (
            "nothing_lost",
            "registry",
            "UPDATE recipient SET revision = revision + 1",
            "UPDATE recipient SET revision = revision - 1",
        ),
        (
            "nothing_lost",
            "payout",
            "UPDATE payout SET state = 'claimed', due_at = now() - interval '1 hour' WHERE state = 'confirmed'",
            "UPDATE payout SET state = 'confirmed', due_at = NULL WHERE state = 'claimed'",
        ),
    ],
)
async def test_a_falsified_row_is_named(
    stack_at_rest: Reported, broken: str, service: str, change: str, back: str
) -> None:
    async with stack_at_rest.changed(service, change, back):
        one = await stack_at_rest.invariant(broken)
        assert one.broken
        assert one.detail


def _first_again(lines: list[dict[str, Any]]) -> None:
    lines.append(lines[0])


def _first_gone(lines: list[dict[str, Any]]) -> None:
    del lines[0]


def _first_dearer(lines: list[dict[str, Any]]) -> None:
    lines[0]["amount_idr"] += 1


def _stranger(lines: list[dict[str, Any]]) -> None:
    lines.append({**lines[0], "reference": "STRANGER", "callback_data": "m-stranger"})


@pytest.mark.parametrize(
    ("whose", "change", "broken", "says"),
    [
        ("bank", _first_again, "paid_twice_in_a_cycle", "stands 2 times in the bank's books"),
        ("bank", _first_gone, "ledger_equals_bank", "not in the bank's books"),
        ("bank", _first_dearer, "ledger_equals_bank", "the amounts differ"),
        ("bank", _stranger, "ledger_equals_bank", "STRANGER: the bank has paid, the ledger does not know"),
        ("carrier", _first_again, "told_twice_on_a_channel", "came 2 times"),
        ("carrier", _stranger, "told_twice_on_a_channel", "m-stranger: a phone got it"),
    ],
)
async def test_what_the_books_of_others_say_is_named(
    stack_at_rest: Reported, whose: str, change: Callable[[list[dict[str, Any]]], None], broken: str, says: str
) -> None:
    async with stack_at_rest.books(whose, change) as url:
        one = await stack_at_rest.invariant(broken, False, **{whose: url})
    assert one.broken == 1
    assert says in one.detail[0]


async def test_a_second_attempt_that_was_paid_as_well_is_paid_twice(stack_at_rest: Reported) -> None:
    async with stack_at_rest.owner("payout") as owner:
        row = await owner.fetchrow(
            "SELECT recipient_id, cycle, reference, amount_idr FROM payout WHERE state = 'confirmed' LIMIT 1"
        )
        assert row is not None
        await owner.execute(
            """
            INSERT INTO past_attempt VALUES ($1, $2, 0, 'FIRSTATTEMPT0000', 1, $3, 'failed', 'account_closed', 1, now())
            """,
            row["recipient_id"],
            row["cycle"],
            row["amount_idr"],
        )

        def pay(lines: list[dict[str, Any]]) -> None:
            lines.append({**lines[0], "reference": "FIRSTATTEMPT0000", "amount_idr": row["amount_idr"]})

        async with stack_at_rest.books("bank", pay) as url:
            one = await stack_at_rest.invariant("paid_twice_in_a_cycle", bank=url)
        await owner.execute("DELETE FROM past_attempt WHERE reference = 'FIRSTATTEMPT0000'")
    assert one.broken == 1
    assert row["recipient_id"] in one.detail[0]
    assert row["reference"] in one.detail[0]


@pytest.mark.parametrize(
    ("broken", "change", "back"),
    [
        (
            "sequences_gapless",
            "UPDATE output_position SET next_sequence = next_sequence + 1 WHERE topic = 'recipient.registered'",
            "UPDATE output_position SET next_sequence = next_sequence - 1 WHERE topic = 'recipient.registered'",
        ),
        (
            "digests_right",
            "UPDATE output_position SET digest = set_byte(digest, 0, 255 - get_byte(digest, 0)) "
            "WHERE next_sequence > 0 AND topic = 'recipient.registered'",
            "UPDATE output_position SET digest = set_byte(digest, 0, 255 - get_byte(digest, 0)) "
            "WHERE next_sequence > 0 AND topic = 'recipient.registered'",
        ),
        (
            "rows_agree_with_events",
            "UPDATE recipient SET decile = 11 - decile",
            "UPDATE recipient SET decile = 11 - decile",
        ),
    ],
)
async def test_what_the_audit_finds_is_named(stack_at_rest: Reported, broken: str, change: str, back: str) -> None:
    async with stack_at_rest.changed("registry", change, back):
        one = await stack_at_rest.invariant(broken, audit=True)
        assert one.broken
        assert one.detail


async def test_a_submission_without_an_answer_is_named(stack_at_rest: Reported) -> None:
    async with stack_at_rest.without("registry", "submission", "kind = 'registration'") as row:
        one = await stack_at_rest.invariant("every_submission_answered_once", audit=True)
    assert one.broken == 1
    assert f"{row['source']}/{row['id']}" in one.detail[0]


async def test_defects_are_missed_and_alarms_are_false_where_rows_say_so(stack_at_rest: Reported) -> None:
    before = (await stack_at_rest.report()).report.defects
    assert before is not None
    async with stack_at_rest.changed(
        "registry",
        "UPDATE submission SET problems = '{nik:nik_region,x:moved}' WHERE problems = '{kk:kk_format}'",
        "UPDATE submission SET problems = '{kk:kk_format}' WHERE 'x:moved' = ANY(problems)",
    ):
        after = (await stack_at_rest.report()).report.defects
    assert after is not None
    was = {one.defect: one for one in before.classes}
    now = {one.defect: one for one in after.classes}
    lost = was["invalid_kk"].found - now["invalid_kk"].found
    assert lost > 0
    assert now["invalid_kk"].missed == now["invalid_nik"].false_alarm == lost
    async with stack_at_rest.without("registry", "flag", "raised") as row:
        flags = (await stack_at_rest.report()).report.defects
    assert flags is not None
    gone = next(one for one in flags.classes if one.defect == row["code"])
    assert gone.found == was[row["code"]].found - 1
    assert gone.missed + gone.waiting == 1, "waiting, when it was the person's only flag"


async def test_without_books_without_audit_and_without_truth_it_says_what_was_not_checked(
    stack_at_rest: Reported,
) -> None:
    made = await stack_at_rest.report(bank=None, carrier=None, truth=None, tokens=())
    unchecked = {one.name for one in made.report.unchecked}
    assert unchecked == {
        "paid_twice_in_a_cycle",
        "ledger_equals_bank",
        "told_twice_on_a_channel",
        "every_submission_answered_once",
        "sequences_gapless",
        "digests_right",
        "rows_agree_with_events",
    }
    assert made.report.defects is None
    assert made.report.money.bank is None
    assert made.good, "nothing is broken, and nothing was expected that is not there"
    away = await stack_at_rest.report(bank="http://127.0.0.1:9")
    assert not away.good
    assert "books of the bank" in away.troubles[0]


async def test_rows_are_found_without_the_sources_tokens(stack_at_rest: Reported) -> None:
    with_tokens = (await stack_at_rest.report()).report.defects
    without = (await stack_at_rest.report(tokens=())).report.defects
    assert with_tokens == without


def test_the_command_exits_1_when_something_is_broken(stack_at_rest: Reported, tmp_path: Path) -> None:
    runner = CliRunner()
    page = tmp_path / "report.html"
    home = str(stack_at_rest.home.root)
    done = runner.invoke(app, ["report", "--no-audit", "--json", "--html", str(page), "--home", home])
    assert done.exit_code == 0, done.output
    report = Report.model_validate_json(done.stdout)
    assert list(json.loads(done.stdout)) == ["invariants", "funnel", "defects", "money", "messages", "rates"]
    assert report.defects is not None
    html = page.read_text(encoding="utf-8")
    assert "jaminan" in html
    _nothing_personal(html + done.stdout, stack_at_rest)

    done = runner.invoke(app, ["report", "--no-audit", "--truth", str(tmp_path), "--home", home])
    assert done.exit_code != 0


def _nothing_personal(text: str, ready: Reported) -> None:
    for line in (ready.home.root / "demo" / "truth.jsonl").read_text().splitlines():
        found = json.loads(line)
        assert found.get("nik") in (None, "") or found["nik"] not in text


async def test_everything_holds_again_once_all_is_put_back(stack_at_rest: Reported) -> None:
    made = await stack_at_rest.report(audit=True)
    assert made.good, made.report.broken


async def test_an_answer_that_was_told_twice_is_named(stack_at_rest: Reported) -> None:
    """The last test here: the event stays on its topic."""
    async with stack_at_rest.owner("registry") as owner:
        row = await owner.fetchrow("SELECT source, id FROM submission WHERE answer = 'rejected' LIMIT 1")
    assert row is not None
    told = {
        "specversion": "1.0",
        "id": "forged",
        "source": "/salur/registry",
        "type": RegistrationRejected.TYPE,
        "subject": "forged",
        "time": "2026-11-24T08:00:00Z",
        "causationid": row["id"],
        "correlationid": row["id"],
        "data": {
            "submission": {"source": row["source"], "id": row["id"], "submitted_at": "2026-11-24T08:00:00Z"},
            "problems": [{"field": "nik", "code": "nik_format", "text": {"id": "x", "en": "x"}}],
        },
    }
    await stack_at_rest.forge(RegistrationRejected.TYPE, orjson.dumps(told))
    made = await stack_at_rest.report(audit=True)
    found = {one.name: one for one in made.report.broken}
    assert found["every_submission_answered_once"].detail == [f"{row['source']}/{row['id']}: answered 2 times"]
    assert "sequences_gapless" in found, "the audit sees it as an event that the registry never wrote"
    assert not made.good

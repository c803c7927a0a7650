"""What a chaos run looks at, on a real stack at rest: each thing that ended otherwise is seen, and told with traces."""

from collections.abc import AsyncIterator

import pytest
from rich.console import Console

from salur.chaos import story
from salur.chaos.compare import compare
from salur.chaos.evidence import poison_found
from salur.chaos.outcome import Outcome
from salur.chaos.poison import Poison
from salur.chaos.state import FinalState, final_state
from tests.integration.reported import Reported, reported
from tests.slow import takes_minutes
from tests.stack import drop_database, fresh_database

pytestmark = takes_minutes


@pytest.fixture(scope="module")
async def at_rest(kafka: str, postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reported]:
    database = await fresh_database(postgres)
    async with reported(kafka, database, tmp_path_factory.mktemp("seen")) as ready:
        yield ready
    await drop_database(database)


async def seen(at_rest: Reported) -> FinalState:
    assert at_rest.places.bank
    return await final_state(at_rest.places.settings, at_rest.places.bank)


async def test_everything_is_read(at_rest: Reported) -> None:
    state = await seen(at_rest)
    for part in (state.submissions, state.people, state.flags, state.decisions, state.payouts, state.transfers):
        assert part
    for part in (state.balances, state.messages, state.told, state.references, state.bank):
        assert part
    assert compare(state, await seen(at_rest)).differences == []
    made = await at_rest.report()
    assert len(state.people) == made.report.funnel.recipients
    assert len(state.decisions) == 3 * len(state.people)
    assert made.report.money.bank
    assert sum(state.bank.values()) == made.report.money.bank.amount_idr


@pytest.mark.parametrize(
    ("service", "table", "what"),
    [
        ("registry", "submission", "submission"),
        ("registry", "recipient", "registered"),
        ("registry", "flag", "flag"),
        ("eligibility", "decision", "decision"),
        ("payout", "payout", "payout"),
        ("payout", "transfer", "ledger"),
        ("notify", "told", "told"),
    ],
)
async def test_a_row_that_is_gone_is_a_difference(at_rest: Reported, service: str, table: str, what: str) -> None:
    before = await seen(at_rest)
    alone = next(
        recipient
        for recipient, person in before.people.items()
        if [p.family for p in before.people.values()].count(person.family) == 1
        and any(key[0] == recipient and key[1].startswith("sembako") for key in before.payouts)
        and any(transfer[0] == recipient for transfer in before.transfers)
        and any(key[0] == recipient for key in before.told)
        and sum(s.recipient == recipient and s.kind == "registration" for s in before.submissions.values()) == 1
    )
    where = f"recipient_id = '{alone}'" if table != "flag" else "true"
    async with at_rest.without(service, table, where) as row:
        differences = compare(before, await seen(at_rest)).differences
    assert (what, row["recipient_id"]) in {(d.what, d.recipient) for d in differences}
    assert compare(before, await seen(at_rest)).differences == []


async def test_a_broken_run_is_told_with_seed_command_faults_and_traces(at_rest: Reported) -> None:
    state = await seen(at_rest)
    reference, (paid, _) = next(iter(state.references.items()))
    other = next(recipient for recipient in state.people if recipient != paid)
    outcome = Outcome(
        seed=77,
        families=9,
        brokers=1,
        faults=2,
        command="salur chaos --seed 77",
        wrong=[f"ledger_equals_bank: {reference}: the bank paid twice", f"{other}: decision sembako: nothing"],
    )
    faults = [
        {
            "number": 1,
            "at": "2026-11-25T02:00:00.000+00:00",
            "kind": "kill_service",
            "victim": "payout-1",
            "outcome": "killed",
            "pid": 4711,
        }
    ]
    console = Console(width=160, highlight=False)
    with console.capture() as told:
        await story.tell(console, outcome, faults, at_rest.places.settings)
    text = told.get()
    for part in ("seed 77", "salur chaos --seed 77", "the bank paid twice", "kill_service", "payout-1", "pid=4711"):
        assert part in text
    for recipient in (paid, other):
        assert f"\n{recipient}  (" in text, "the head of a trace"


async def test_poison_that_left_no_trace_is_wrong(at_rest: Reported) -> None:
    topic = "flag.submitted.polman"
    lost = [
        Poison("bytes", topic, b"poison-0", b"\xff", None),
        Poison("broken_seal", topic, b"poison-1", b"{}", "cannot_open"),
    ]
    found = await poison_found(at_rest.places.settings, lost)
    assert found.counts == {"injected": 2, "on_topics": 0, "dead": 0, "rejected": 1}
    assert [sentence.partition(":")[0] for sentence in found.wrong] == [
        "poison-0 (bytes) is not on flag.submitted.polman",
        "poison-1 (broken_seal) is not on flag.submitted.polman",
        "poison-1 (broken_seal)",
    ]

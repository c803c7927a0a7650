"""Rows against events: what a dead letter excuses, and what it does not."""

from collections.abc import Iterator

import pytest

from salur.inside.audit.agreement import Agreement
from salur.inside.audit.compare import compare
from salur.inside.audit.result import Findings, TableAudit
from salur.inside.audit.spill import Spill, packed
from shared.runtime.positions import Place

PLACE = Place("eligibility.decided", 0)
AGREEMENT = Agreement("decision", ("amount_idr", "village"), "", {})


@pytest.fixture
def spill() -> Iterator[Spill]:
    with Spill() as spill:
        spill.prepare(0)
        yield spill


def judged(spill: Spill, stands: str | None, *said: tuple[int, str], dead: tuple[int, ...] = ()) -> TableAudit:
    """`said`: revision and amount; `dead`: revisions whose event the stage could not process."""
    spill.say(0, [("r-1", rank, rank - 1, 0, rank, packed((amount, "a"))) for rank, amount in said])
    if stands is not None:
        spill.stand(0, [("r-1", packed((stands, "a")))])
    for rank in dead:
        spill.bury("payout", 0, rank)
    table = TableAudit(table="decision", rows=1)
    compare("payout", 0, AGREEMENT, spill, [PLACE], table, Findings())
    return table


@pytest.mark.parametrize(
    ("stands", "dead", "excused", "mismatches"),
    [
        ("200", (), 0, 0),
        ("100", (2,), 1, 0),  # the newer event is the dead letter
        ("200", (2,), 0, 0),  # and was put back since
        ("200", (1,), 0, 0),
        ("999", (1,), 0, 1),  # what is forged is not excused by an older letter
        ("999", (2,), 0, 1),
        ("999", (), 0, 1),
        (None, (1, 2), 1, 0),
        (None, (1,), 0, 1),
    ],
)
def test_a_dead_letter_excuses_what_follows_from_it_alone(
    spill: Spill, stands: str | None, dead: tuple[int, ...], excused: int, mismatches: int
) -> None:
    table = judged(spill, stands, (1, "100"), (2, "200"), dead=dead)
    assert (table.excused, table.mismatches) == (excused, mismatches)


def test_a_control_character_in_a_row_hides_nothing(spill: Spill) -> None:
    assert judged(spill, "100\x1fa\x1fFORGED", (1, "100")).mismatches == 1

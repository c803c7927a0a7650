"""How an audit shows where it is: bars on a terminal, nothing where its output is kept."""

from io import StringIO

import pytest
from rich.console import Console

from salur.inside.audit.show import bars


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_of_a_topic(terminal: bool) -> None:
    shown = StringIO()
    console = Console(file=shown, force_terminal=terminal, width=120)
    with bars(console) as progress:
        progress.begin("payout.ordered", 10_000)
        for _ in range(4):
            progress.advance(1_000)
        progress.begin("rows of payout.payout", 0)
    if terminal:
        assert "rows of payout.payout" in shown.getvalue()
    else:
        assert shown.getvalue().strip() == ""


def test_count_and_speed() -> None:
    shown = StringIO()
    with bars(Console(file=shown, force_terminal=True, width=120)) as progress:
        progress.begin("payout.ordered", 10_000)
        progress.advance(4_000)
    assert "payout.ordered" in shown.getvalue()
    assert "4000/10000" in shown.getvalue()
    assert "/s " in shown.getvalue()

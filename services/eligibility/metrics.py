"""What this service counts beyond what every process does."""

from collections import Counter as Tally
from collections.abc import Iterable
from typing import Any

from prometheus_client import Counter

from shared.events.eligibility import EligibilityDecided
from shared.events.envelope import Event

DECISIONS = Counter("salur_decisions", "Decisions, first ones and later ones", ["programme", "outcome"])


def count_decisions(events: Iterable[Event[Any]]) -> None:
    """Of events that were committed."""
    found = ((e.data.programme, e.data.outcome) for e in events if isinstance(e.data, EligibilityDecided))
    for (programme, outcome), count in Tally(found).items():
        DECISIONS.labels(programme, outcome).inc(count)

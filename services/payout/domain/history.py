"""What became of a payout, from the events that say so; the steps that no event tells any more are found between them.

Events of one transaction go to several topics. When a database is lost, some may have been published and some not: of
an order that was cancelled and made anew, only the second order, say. Every event has a revision, so it is known how
many are missing, and the table of states says which they can have been.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

from services.payout.domain.states import PayoutState

NOT_SENT: Final = frozenset({"no_account", "nothing_to_pay", "family_paid"})
"""Codes of payouts that fail before they are ordered; with any other code a bank, or the way to it, has refused."""
MISSING_MAX: Final = 12


class Stands(NamedTuple):
    """Where a payout stands as its events tell it. `failed_unsent`: it failed without having been ordered."""

    state: PayoutState | None = None
    attempt: int = 0
    failed_unsent: bool = False


class Happened(NamedTuple):
    """What one event says. `attempt` is None where the event does not say it."""

    revision: int
    state: PayoutState
    attempt: int | None = None
    failed_unsent: bool = False

    def is_(self, stands: Stands) -> bool:
        return (self.state, self.failed_unsent) == (stands.state, stands.failed_unsent) and self.attempt in (
            None,
            stands.attempt,
        )


class Step(NamedTuple):
    """One revision of a payout. `told` is the event, by its place among those given; None where it is missing."""

    revision: int
    stands: Stands
    told: int | None


class Impossible(ValueError):
    """No history of this kind leads to such an event."""


_S = PayoutState
_QUEUED, _ORDERED, _UNSENT = (_S.QUEUED, False), (_S.ORDERED, False), (_S.FAILED, True)
# In the order of preference: of several histories that fit, the first is taken. An attempt that another one followed
# has ended without payment either way; `cancelled` claims less of the bank than `failed` does.
_NEXT: Final[dict[PayoutState | None, tuple[tuple[PayoutState, bool], ...]]] = {
    None: (_QUEUED, _ORDERED, _UNSENT),
    _S.QUEUED: (_ORDERED, _QUEUED, _UNSENT, (_S.CANCELLED, False)),
    _S.ORDERED: ((_S.CANCELLED, False), (_S.FAILED, False), (_S.CONFIRMED, False)),
    _S.FAILED: (_ORDERED, _QUEUED, _UNSENT),
    _S.CANCELLED: (_ORDERED, _QUEUED, _UNSENT),
    _S.CONFIRMED: (),
}
_BEGINS: Final = frozenset({None, _S.FAILED, _S.CANCELLED})
"""What comes after these is another attempt."""


def steps(before: Stands, revision: int, told: Sequence[Happened]) -> list[Step]:
    """Every step after `revision`, at which the payout stood at `before`. `told` in the order of revisions.

    Raises Impossible, and ValueError for revisions that do not grow.
    """
    found: list[Step] = []
    for place, happened in enumerate(told):
        missing = happened.revision - revision - 1
        if missing < 0:
            raise Impossible(f"revision {happened.revision} comes after revision {revision}")
        path = _path(before, happened._replace(revision=0), missing)
        if path is None:
            raise Impossible(
                f"no {missing} steps lead from {before.state or 'nothing'} to {happened.state} (revision {revision} "
                f"to {happened.revision})"
            )
        found += [Step(number, stands, None) for number, stands in enumerate(path[:-1], revision + 1)]
        found.append(Step(happened.revision, path[-1], place))
        before, revision = path[-1], happened.revision
    return found


@cache
def _path(before: Stands, target: Happened, missing: int) -> tuple[Stands, ...] | None:
    """`missing` steps and then the target; the first that fits."""
    if missing > MISSING_MAX:
        return None
    for after in _following(before):
        if missing == 0:
            if target.is_(after):
                return (after,)
        elif rest := _path(after, target, missing - 1):
            return (after, *rest)
    return None


def _following(before: Stands) -> Iterator[Stands]:
    attempt = before.attempt + (before.state in _BEGINS)
    for state, failed_unsent in _NEXT[before.state]:
        yield Stands(state, attempt, failed_unsent)

"""Which of several submissions about one person holds, in whatever order they arrive.

Of two, the later by (time, source, id) wins. All submissions of a batch about one person are settled at once: the
winner is taken first, so a person changes at most once a batch, and the others are answered as what they then are.
The outcome does not depend on how submissions are spread over batches, nor on their order in one.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final, Literal, NamedTuple

Verdict = Literal["new", "updated", "identical", "older"]

ANSWERS: Final[Mapping[Verdict, str]] = {
    "new": "registered",
    "updated": "registered",
    "identical": "unchanged",
    "older": "unchanged",
}
"""The answer to a registration that is valid; the others are rejected."""


class Order(NamedTuple):
    """What decides between two submissions: the later one wins. No two submissions are equal in it."""

    submitted_at: datetime
    source: str
    id: str


class Submitted(NamedTuple):
    """A valid registration; `content` is a digest of the facts in it."""

    order: Order
    content: bytes


class Known(NamedTuple):
    """What is registered of a person. `won_by` is the latest submission that said so."""

    revision: int
    won_by: Order
    content: bytes


def settle(known: Known | None, submitted: Sequence[Submitted]) -> tuple[Known, tuple[Verdict, ...]]:
    """What is known after these submissions about one person (at least one), and the verdict on each."""
    latest = max(submitted)
    verdict: Verdict
    if known is None:
        verdict, after = "new", Known(1, latest.order, latest.content)
    elif latest.order < known.won_by:
        verdict, after = "older", known
    elif latest.content == known.content:
        # It moves on all the same: a submission between the two that arrives late must not win.
        verdict, after = "identical", known._replace(won_by=latest.order)
    else:
        verdict, after = "updated", Known(known.revision + 1, latest.order, latest.content)
    return after, tuple(
        verdict if s is latest and verdict != "older" else "identical" if s.content == after.content else "older"
        for s in submitted
    )


class FlagOrder(NamedTuple):
    """What decides between two statements about one flag: first the day from which they hold, then the submission.

    So a withdrawal from a later day stands, even when the agency sends the raising again afterwards.
    """

    since: date
    submission: Order


class Flag(NamedTuple):
    """Whether a flag stands, and what said so."""

    raised: bool
    won_by: FlagOrder


class Stated(NamedTuple):
    """One valid statement about one flag."""

    code: str
    flag: Flag


class Flags(NamedTuple):
    """All flags ever stated on a person. `revision` counts the changes of the set that stands; 0: nothing stated."""

    revision: int
    by_code: Mapping[str, Flag]

    @property
    def standing(self) -> frozenset[str]:
        return frozenset(code for code, flag in self.by_code.items() if flag.raised)


def settle_flags(known: Flags, stated: Sequence[Stated]) -> Flags:
    """The flags after these statements about one person (at least one)."""
    by_code = dict(known.by_code)
    for code, flag in stated:
        before = by_code.get(code)
        if before is None or flag.won_by > before.won_by:
            by_code[code] = flag
    after = Flags(known.revision, by_code)
    changed = known.revision == 0 or after.standing != known.standing
    return after._replace(revision=known.revision + changed)


class Submission(NamedTuple):
    """A submission by its key (source, id) and a digest of what it says."""

    key: tuple[str, str]
    digest: bytes


class Sorted(NamedTuple):
    """Indexes into the submissions: those to answer, and those whose id was used for another content."""

    fresh: tuple[int, ...]
    reused: tuple[int, ...]


def sort_out(submissions: Sequence[Submission], answered: Mapping[tuple[str, str], bytes]) -> Sorted:
    """Which submissions need an answer. A repeat of one that was answered, here or before, needs none."""
    first = dict(answered)
    seen: set[Submission] = set()
    fresh, reused = [], []
    for index, submission in enumerate(submissions):
        if submission in seen:
            continue
        seen.add(submission)
        digest = first.setdefault(submission.key, submission.digest)
        if digest != submission.digest:
            reused.append(index)
        elif submission.key not in answered:
            fresh.append(index)
    return Sorted(tuple(fresh), tuple(reused))

"""Whether a disturbed run ended as the undisturbed one of the same seed and keys: in everything but times and order.

Nearly everything is compared recipient by recipient. Three things depend on the order of arrival even when nobody
disturbs anything, because money follows a decision at once and is never taken back; docs/reliability.md says why no
rule could change that:

- A family of which several people register: who was first is paid. Its people are compared as a family.
- A person who registers twice with different contents: the first content may be decided and paid before the second
  one is known. Compared like such a family.
- A ranked cycle whose budget ends within a decile: there those who have waited longer are paid. Of this decile the
  money is compared, not the people.

And a message whose sender died may have been sent or not. It is never sent again, so `unknown` equals everything.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from salur.chaos.state import FinalState, Message, Payout, Submission
from services.payout.domain.history import NOT_SENT

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

UNKNOWN = "unknown"
NOBODY_WAITS = 11
"""Behind the last decile."""
_DECISION_MESSAGE = "decision:"
_PAYOUT_MESSAGE = "payout:"
_BY_PHONE = "not_on_whatsapp"
"""The one failure that follows from the phone; the carrier throws dice for the others, for each message."""
_ACCEPTED = ("registered", "unchanged")


class Difference(NamedTuple):
    """One thing that ended otherwise; nothing personal."""

    what: str
    recipient: str | None
    key: str
    undisturbed: str
    disturbed: str

    def __str__(self) -> str:
        who = f"{self.recipient}: " if self.recipient else ""
        return f"{who}{self.what} {self.key}: {self.disturbed}, undisturbed {self.undisturbed}"


@dataclass(slots=True)
class Comparison:
    """`compared`: how many things of each kind were held beside each other; `by_family`: recipients of whom only the
    family is compared; `unknown`: messages whose fate nobody knows, in both runs."""

    differences: list[Difference]
    compared: dict[str, int]
    by_family: int
    unknown: tuple[int, int]


def compare(undisturbed: FinalState, disturbed: FinalState) -> Comparison:
    """Both runs must have drained."""
    return _Comparing(undisturbed, disturbed).run()


class _Comparing:
    def __init__(self, undisturbed: FinalState, disturbed: FinalState) -> None:
        self.runs = (undisturbed, disturbed)
        self.differences: list[Difference] = []
        self.compared: dict[str, int] = defaultdict(int)
        self.together = people_of_families(*self.runs)
        self.last_deciles = last_deciles(*self.runs)

    def run(self) -> Comparison:
        before, after = self.runs
        self._equal("submission", before.submissions, after.submissions, self._submission_of, value=self._answer)
        self._equal("registered", before.people, after.people, lambda key: key)
        self._equal("flag", before.flags, after.flags, lambda key: key[0])
        self._equal("decision", before.decisions, after.decisions, lambda key: key[0], skip=self._is_together)
        self._equal("payout", before.payouts, after.payouts, lambda key: key[0], skip=self._waits_by_time)
        self._equal("ledger", before.transfers, after.transfers, lambda key: key[0], skip=self._waits_by_time)
        self._bank(before, after)
        self._messages(before, after)
        self._told(before, after)
        self._families(before, after)
        self._ranked(before, after)
        unknown = [sum(m.state == UNKNOWN for m in run.messages.values()) for run in self.runs]
        return Comparison(self.differences, dict(self.compared), len(self.together), (unknown[0], unknown[1]))

    def _equal(
        self,
        what: str,
        before: Mapping[K, V],
        after: Mapping[K, V],
        recipient: Callable[[K], str | None],
        *,
        skip: Callable[[K], bool] = lambda key: False,
        value: Callable[[V], Any] = lambda value: value,
        alike: Callable[[Any, Any], bool] = lambda one, other: bool(one == other),
    ) -> None:
        """The same keys, and alike values behind them, but for those that are skipped."""
        for key in before.keys() | after.keys():
            if skip(key):
                continue
            self.compared[what] += 1
            first, second = (value(run[key]) if key in run else None for run in (before, after))
            if not alike(first, second):
                self._differs(what, recipient(key), _shown(key), first, second)

    def _differs(self, what: str, recipient: str | None, key: str, first: Any, second: Any) -> None:
        self.differences.append(Difference(what, recipient, key, _shown(first), _shown(second)))

    def _submission_of(self, key: tuple[str, str]) -> str | None:
        found = self.runs[1].submissions.get(key) or self.runs[0].submissions[key]
        return found.recipient

    def _answer(self, submission: Submission) -> tuple[Any, ...]:
        """Which of several submissions of one NIK came first decides between `registered` and `unchanged`."""
        if submission.recipient in self.together and submission.answer in _ACCEPTED:
            return submission.recipient, submission.kind, "accepted"
        return tuple(submission)

    def _is_together(self, key: tuple[str, Any]) -> bool:
        return key[0] in self.together

    def _waits_by_time(self, key: tuple[Any, ...]) -> bool:
        recipient, cycle = key[0], key[1]
        if recipient in self.together:
            return True
        first, last = self.last_deciles.get(cycle, (0, 0))
        decile = self._decile(recipient, cycle)
        return decile is not None and first <= decile <= last

    def _decile(self, recipient: str, cycle: str) -> int | None:
        for run in self.runs:
            if found := run.payouts.get((recipient, cycle)):
                return found.decile
        return None

    def _bank(self, before: FinalState, after: FinalState) -> None:
        whose = before.references | after.references

        def skip(reference: str) -> bool:
            return reference in whose and self._waits_by_time(whose[reference])

        self._equal(
            "bank's books",
            before.bank,
            after.bank,
            lambda reference: whose[reference][0] if reference in whose else None,
            skip=skip,
        )

    def _messages(self, before: FinalState, after: FinalState) -> None:
        """About payouts. Messages about decisions say all that is new when they leave: `_told` compares that."""

        def skip(key: tuple[str, str]) -> bool:
            recipient, purpose = key
            if not purpose.startswith(_PAYOUT_MESSAGE):
                return True
            return self._waits_by_time((recipient, purpose.split(":")[1]))

        def alike(one: Message | None, other: Message | None) -> bool:
            if one is None or other is None:
                return False
            return one == other or UNKNOWN in (one.state, other.state)

        self._equal("message", before.messages, after.messages, lambda key: key[0], skip=skip, alike=alike)

    def _told(self, before: FinalState, after: FinalState) -> None:
        uncertain = {recipient for run in self.runs for recipient in _uncertain(run)}
        self._equal(
            "told",
            before.told,
            after.told,
            lambda key: key[0],
            skip=lambda key: key[0] in self.together or key[0] in uncertain,
        )

    def _families(self, before: FinalState, after: FinalState) -> None:
        """Of people who are compared as families: how many are entitled and to how much, and that each has an end."""
        family_of = {recipient: run.people[recipient].family for run in self.runs for recipient in run.people}
        sums = []
        for run in self.runs:
            entitled: dict[tuple[str, str], list[int]] = defaultdict(list)
            for (recipient, programme), decision in run.decisions.items():
                if recipient in self.together and decision.eligible:
                    entitled[family_of[recipient], programme].append(decision.amount_idr)
            sums.append({key: sorted(amounts) for key, amounts in entitled.items()})
        self._equal("entitled", sums[0], sums[1], lambda key: self._one_of(key[0], family_of))

    def _one_of(self, family: str, family_of: Mapping[str, str]) -> str | None:
        return next((recipient for recipient in self.together if family_of.get(recipient) == family), None)

    def _ranked(self, before: FinalState, after: FinalState) -> None:
        """What was paid of a budget that ended within a decile, and that nobody of a higher one came first."""
        for cycle in self.last_deciles:
            first, second = (run.balances.get((cycle, "paid")) for run in (before, after))
            self.compared["ranked cycle"] += 1
            if first != second:
                self._differs("paid in the ranked cycle", None, cycle, first, second)
            overtaken = [self._overtaken(run, cycle) for run in (before, after)]
            if any(overtaken):
                self._differs("overtaken in", overtaken[1] or overtaken[0], cycle, *overtaken)

    def _overtaken(self, run: FinalState, cycle: str) -> str | None:
        """Somebody who waits although somebody of a higher decile was served. Who has no account takes no budget."""
        alone = [
            (payout.decile, recipient, payout.state == "queued")
            for (recipient, in_cycle), payout in run.payouts.items()
            if in_cycle == cycle and recipient not in self.together and payout.code not in NOT_SENT
        ]
        served = max((decile for decile, _, waits in alone if not waits), default=0)
        return next((recipient for decile, recipient, waits in sorted(alone) if waits and decile < served), None)


def people_of_families(*runs: FinalState) -> frozenset[str]:
    """Everybody of a family card of which several people are registered, or of whom one registered more than once."""
    together: set[str] = set()
    for run in runs:
        times: dict[str, int] = defaultdict(int)
        for submission in run.submissions.values():
            if submission.kind == "registration" and submission.answer in _ACCEPTED and submission.recipient:
                times[submission.recipient] += 1
        families: dict[str, list[str]] = defaultdict(list)
        for recipient, person in run.people.items():
            families[person.family].append(recipient)
        for people in families.values():
            if len(people) > 1 or any(times[recipient] > 1 for recipient in people):
                together.update(people)
    return frozenset(together)


def last_deciles(*runs: FinalState) -> dict[str, tuple[int, int]]:
    """By ranked cycle, where its budget ended: the first decile in which somebody waits in vain, in one run and in the
    other. Below it everybody is served."""
    found: dict[str, list[int]] = {}
    for place, run in enumerate(runs):
        for (_, cycle), payout in run.payouts.items():
            if payout.ranked:
                firsts = found.setdefault(cycle, [NOBODY_WAITS] * len(runs))
                if payout.state == "queued":
                    firsts[place] = min(payout.decile, firsts[place])
    return {cycle: (min(firsts), max(firsts)) for cycle, firsts in found.items() if min(firsts) < NOBODY_WAITS}


def _uncertain(run: FinalState) -> Iterator[str]:
    """Of whom a message about decisions may or may not have said something, or failed by the carrier's dice."""
    for (recipient, purpose), message in run.messages.items():
        if purpose.startswith(_DECISION_MESSAGE) and (
            message.state == UNKNOWN or (message.state == "failed" and message.code != _BY_PHONE)
        ):
            yield recipient


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bytes):
        return value.hex()[:8]
    if isinstance(value, Payout):
        return f"{value.state} attempt {value.attempt} Rp{value.amount_idr:,} {value.code or ''}".rstrip()
    if isinstance(value, tuple):
        return " ".join(_shown(part) for part in value if part not in (None, ()))
    return str(value)

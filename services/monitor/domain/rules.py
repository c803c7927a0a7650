"""When an alert stands: rules as data, and what each kind of comparison says about a snapshot.

A rule that looks at windows looks at the last few that hop by a minute: it stands when all of them are bad and is over
when none is. In between an alert stays as it is, so that one on the edge is not raised and cleared by turns.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from services.monitor.domain.counting import DAY_S, HOUR_S, MINUTE_S, hops, within
from services.monitor.domain.snapshot import Snapshot, by_group, term_of
from shared.events.alerts import Advice, Level
from shared.events.model import Name


class Finding(NamedTuple):
    """What a rule says about one thing. `stands` None: neither clearly there nor clearly over."""

    about: str
    value: float
    stands: bool | None
    since_s: int


class _Rule(BaseModel):
    """`unit` says how `{value}` and `{threshold}` are written in the texts; `{about}` names the thing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    level: Level
    threshold: float = Field(gt=0)
    unit: Literal["percent", "count", "times"]
    runbook: str = Field(pattern=r"^docs/runbooks/[a-z-]+\.md$")
    advice: Advice

    @property
    def cut_off(self) -> bool:
        """Whether it looks at nothing that came after the snapshot's minute; the others need a current snapshot."""
        return False


class _Windowed(_Rule):
    """Over hopping windows of `window_minutes`; by district, the hour that runs and `window_minutes` before it."""

    @property
    def cut_off(self) -> bool:
        return getattr(self, "by", "") != "district"

    window_minutes: int = Field(gt=0, le=90)
    for_minutes: int = Field(default=0, ge=0, le=15)
    at_least: int = Field(ge=1, description="Below so many events nothing is said")

    def standing(self, about: str, snapshot: Snapshot, bad: Sequence[tuple[float, bool]]) -> Finding:
        """`bad`: value and verdict of the last windows, the newest first."""
        verdicts = [verdict for _, verdict in bad]
        stands = True if all(verdicts) else None if any(verdicts) else False
        return Finding(about, bad[0][0], stands, snapshot.at_s - self.for_minutes * MINUTE_S)

    def ends(self, snapshot: Snapshot) -> list[int]:
        return list(hops(snapshot.at_s, self.for_minutes + 1, MINUTE_S))


class Share(_Windowed):
    """Some events make up more than `threshold` of others (failures of what a bank or carrier was given)."""

    compares: Literal["share"]
    of: tuple[str, ...] = Field(min_length=1)
    among: tuple[str, ...] = Field(min_length=1, description="What `of` is part of")
    by: Literal["", "programme", "channel", "topic", "district"] = ""

    def findings(self, snapshot: Snapshot) -> Iterator[Finding]:
        if self.by == "district":  # panes of an hour: the one that runs says little at its beginning
            panes, size_s = snapshot.hours, HOUR_S + self.window_minutes * MINUTE_S
            ends = [-(-snapshot.at_s // HOUR_S) * HOUR_S]
        else:
            panes, size_s, ends = snapshot.minutes, self.window_minutes * MINUTE_S, self.ends(snapshot)
        parts = by_group(panes, [term_of(text) for text in self.of], self.by)
        for group, whole in by_group(panes, [term_of(text) for text in self.among], self.by).items():
            bad = []
            for end in ends:
                part, among = within(parts.get(group, ()), end, size_s), within(whole, end, size_s)
                bad.append((part / among if among else 0.0, among >= self.at_least and part > self.threshold * among))
            yield self.standing(group or "-", snapshot, bad)


class Silence(_Windowed):
    """A stage gives nothing while its input grows by at least `at_least`. The value is that input."""

    compares: Literal["silence"]
    stages: dict[Name, tuple[tuple[str, ...], tuple[str, ...]]] = Field(description="Stage → its inputs, its outputs")

    def findings(self, snapshot: Snapshot) -> Iterator[Finding]:
        size_s = self.window_minutes * MINUTE_S
        for stage, (inputs, outputs) in self.stages.items():
            came = by_group(snapshot.minutes, [term_of(text) for text in inputs], "").get("all", [])
            went = by_group(snapshot.minutes, [term_of(text) for text in outputs], "").get("all", [])
            bad = []
            for end in self.ends(snapshot):
                grown = within(came, end, size_s)
                bad.append((float(grown), grown >= self.at_least and not within(went, end, size_s)))
            yield self.standing(stage, snapshot, bad)


class Growth(_Windowed):
    """More than `threshold` events of a kind within the window."""

    compares: Literal["growth"]
    of: tuple[str, ...] = Field(min_length=1)
    by: Literal["", "programme", "channel", "topic"] = ""

    def findings(self, snapshot: Snapshot) -> Iterator[Finding]:
        size_s = self.window_minutes * MINUTE_S
        for group, panes in by_group(snapshot.minutes, [term_of(text) for text in self.of], self.by).items():
            counts = [within(panes, end, size_s) for end in self.ends(snapshot)]
            yield self.standing(group or "-", snapshot, [(float(n), n > self.threshold) for n in counts])


class Surge(_Rule):
    """A village registers `threshold` times its usual: its own mean of the days before, and at least `at_least`."""

    compares: Literal["surge"]
    at_least: int = Field(ge=1)
    days_min: int = Field(ge=1, le=28, description="Days that must have been counted before there is a usual")

    def findings(self, snapshot: Snapshot) -> Iterator[Finding]:
        today = snapshot.at_s - snapshot.at_s % DAY_S
        days = (today - snapshot.since_s) // DAY_S
        for village, counts in snapshot.registrations.items():
            now = counts.get(today, 0)
            usual = sum(n for day, n in counts.items() if today - days * DAY_S <= day < today) / max(days, 1)
            times = now / max(usual, 1.0)  # a village that hardly registers has a usual of one
            stands = days >= self.days_min and now >= self.at_least and times >= self.threshold
            yield Finding(village, times, stands, snapshot.at_s)


class Missing(_Rule):
    """Sequences that never came, `threshold` or more within the last day, by topic and partition."""

    compares: Literal["missing"]

    def findings(self, snapshot: Snapshot) -> Iterator[Finding]:
        lost: dict[str, tuple[int, int]] = {}
        for gap in snapshot.gaps:
            if gap.at_s > snapshot.at_s - DAY_S:
                about = f"{gap.topic}/{gap.partition}"
                missing, since_s = lost.get(about, (0, gap.at_s))
                lost[about] = missing + gap.missing, min(since_s, gap.at_s)
        for about, (missing, since_s) in lost.items():
            yield Finding(about, float(missing), missing >= self.threshold, since_s)


class Used(_Rule):
    """At least `threshold` of the budget of a programme's latest cycle is used."""

    compares: Literal["used"]

    def findings(self, snapshot: Snapshot) -> Iterator[Finding]:
        for cycle in snapshot.cycles:
            if cycle.budget_idr:
                share = cycle.used_idr / cycle.budget_idr
                yield Finding(cycle.cycle, share, share >= self.threshold, snapshot.at_s)


class Shared(_Rule):
    """Payouts to `threshold` or more recipients reached one account within the days that are kept."""

    compares: Literal["shared"]

    def findings(self, snapshot: Snapshot) -> Iterator[Finding]:
        for account in snapshot.accounts:
            stands = account.recipients >= self.threshold
            yield Finding(account.account, float(account.recipients), stands, snapshot.at_s)


Rule = Annotated[Share | Silence | Growth | Surge | Missing | Used | Shared, Field(discriminator="compares")]
RULES: Final[TypeAdapter[tuple[Rule, ...]]] = TypeAdapter(tuple[Rule, ...])

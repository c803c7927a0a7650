"""From findings to what is raised and cleared now, and the words for it."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from services.monitor.domain.rules import Finding, Rule
from services.monitor.domain.snapshot import Snapshot
from shared.events import Text
from shared.events.alerts import Advice


class Subject(NamedTuple):
    """Of one rule and one thing only one alert is open at a time."""

    rule: str
    about: str


class Judgement(NamedTuple):
    """`raised` and `cleared` with what was found; cleared ones that nothing was found about any more have None."""

    raised: dict[Subject, Finding]
    cleared: dict[Subject, Finding | None]


def judge(rules: Iterable[Rule], snapshot: Snapshot, open_now: Collection[Subject]) -> Judgement:
    """Pure: the same windows and the same open alerts give the same answer, so asking twice changes nothing.

    What is about nothing any more, or of a rule that is gone, is over. Rules that need a current snapshot say nothing
    of another one.
    """
    every = list(rules)
    mute = {rule.name for rule in every if not (snapshot.current or rule.cut_off)}
    found = {Subject(r.name, f.about): f for r in every if r.name not in mute for f in r.findings(snapshot)}
    raised = {subject: f for subject, f in found.items() if f.stands and subject not in open_now}
    over = {subject: found.get(subject) for subject in open_now if subject.rule not in mute}
    return Judgement(raised, {s: f for s, f in over.items() if f is None or f.stands is False})


def worded(rule: Rule, about: str, value: float) -> Advice:
    """The rule's texts with `{about}`, `{value}` and `{threshold}` filled in."""

    def filled(text: Text) -> Text:
        return Text(
            id=_filled(text.id, rule, about, value, decimal=","), en=_filled(text.en, rule, about, value, decimal=".")
        )

    return Advice(what=filled(rule.advice.what), look=filled(rule.advice.look), do=filled(rule.advice.do))


def _filled(text: str, rule: Rule, about: str, value: float, decimal: str) -> str:
    shown = {"about": about, "value": _shown(value, rule.unit), "threshold": _shown(rule.threshold, rule.unit)}
    if decimal == ",":
        points = str.maketrans({".": ",", ",": "."})
        shown |= {name: shown[name].translate(points) for name in ("value", "threshold")}
    return text.format(**shown)


def _shown(value: float, unit: str) -> str:
    """31%, 1,204, 12.5: at most one decimal."""
    if unit == "percent":
        return f"{value:.0%}"
    return f"{value:,.0f}" if unit == "count" or value == int(value) else f"{value:,.1f}"

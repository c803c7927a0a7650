"""Each rule with its table of examples, and what an alert on the edge does."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.monitor.domain.alerts import Subject, judge, worded
from services.monitor.domain.counting import DAY_S, HOUR_S, MINUTE_S
from services.monitor.domain.rules import Silence
from services.monitor.domain.snapshot import (
    CycleUse,
    MissingEvents,
    Pane,
    SharedAccount,
    Snapshot,
)
from services.monitor.rulebook import rulebook
from shared.events.topics import FLOW_TOPICS, STAGES

AT = 1_790_000_000 - 1_790_000_000 % DAY_S + 10 * HOUR_S
TODAY = AT - AT % DAY_S
RULES = {rule.name: rule for rule in rulebook()}
VILLAGE, OTHER = "7604012001", "7604012002"


def pane(minutes_ago: float, topic: str, n: int, **labels: str) -> Pane:
    """A count of the minute that began so long before AT."""
    return Pane(AT - int(minutes_ago * MINUTE_S), topic, n=n, **labels)


def hour(hours_ago: int, topic: str, n: int, district: str = "760401", **labels: str) -> Pane:
    """A count of the hour that began so long before AT."""
    return Pane(AT - hours_ago * HOUR_S, topic, n=n, district=district, **labels)


def spread(topic: str, n: int, minutes: int = 15, **labels: str) -> list[Pane]:
    """`n` in each of the last minutes."""
    return [pane(m, topic, n, **labels) for m in range(1, minutes + 1)]


def bank(failed: int, confirmed: int, minutes: int = 15) -> list[Pane]:
    return [
        *spread("payout.failed", failed, minutes, channel="himbara", code="account_closed"),
        *spread("payout.confirmed", confirmed, minutes, channel="himbara"),
        *spread("payout.confirmed", 50, minutes, channel="pos"),
    ]


def month(now: int, usual: int = 4, days: int = 20) -> Snapshot:
    counts = {TODAY - d * DAY_S: usual for d in range(1, days + 1)} | {TODAY: now}
    return Snapshot(AT, registrations={VILLAGE: counts, OTHER: {TODAY: 3}}, since_s=TODAY - days * DAY_S)


def cycles(used: int) -> Snapshot:
    return Snapshot(AT, cycles=[CycleUse("sembako-2026-11", "sembako", 1_000_000, used)])


def gap(minutes_ago: int) -> Snapshot:
    return Snapshot(AT, gaps=[MissingEvents("payout.ordered", 3, 17, 2, AT - minutes_ago * MINUTE_S)])


# rule → what is seen → about whom it stands now
EXAMPLES: dict[str, list[tuple[str, Snapshot, set[str]]]] = {
    "stage-silent": [
        ("nothing at all", Snapshot(AT), set()),
        ("registrations come and none is answered", Snapshot(AT, spread("registration.submitted.x", 10)), {"registry"}),
        (
            "they are answered, if only with no",
            Snapshot(AT, [*spread("registration.submitted.x", 10), pane(1, "registration.rejected", 1)]),
            set(),
        ),
        ("registered, not decided", Snapshot(AT, spread("recipient.registered", 9, code="new")), {"eligibility"}),
        ("only known ones come again", Snapshot(AT, spread("recipient.registered", 9, code="updated")), set()),
        ("ordered, and the bank says nothing", Snapshot(AT, spread("payout.ordered", 9)), {"payout"}),
        ("paid, and nobody is told", Snapshot(AT, bank(0, 9)), {"notify"}),
        ("too few to say", Snapshot(AT, spread("payout.ordered", 3)), set()),
        ("it began a moment ago", Snapshot(AT, spread("payout.ordered", 30, minutes=1)), set()),
    ],
    "payouts-failing": [
        ("a third fails", Snapshot(AT, bank(3, 6)), {"himbara"}),
        ("a fifth exactly is at the limit", Snapshot(AT, bank(2, 8)), set()),
        ("few payouts", Snapshot(AT, bank(1, 0)), set()),
        ("it was, an hour ago", Snapshot(AT, [p._replace(start_s=p.start_s - HOUR_S) for p in bank(9, 9)]), set()),
    ],
    "payouts-failing-in-district": [
        (
            "one district alone",
            Snapshot(
                AT,
                hours=[
                    hour(1, "payout.failed", 30, code="account_closed"),
                    hour(1, "payout.confirmed", 10),
                    hour(1, "payout.confirmed", 90, district="760402"),
                    hour(3, "payout.failed", 900, district="760402"),
                ],
            ),
            {"760401"},
        ),
        (
            "the hour has just begun",
            Snapshot(
                AT + MINUTE_S,
                hours=[hour(1, "payout.failed", 30), hour(1, "payout.confirmed", 30), hour(0, "payout.failed", 1)],
            ),
            {"760401"},
        ),
        (
            "half on this side of the full hour, half on the other",
            Snapshot(AT + 15 * MINUTE_S, hours=[hour(1, "payout.failed", 15), hour(0, "payout.failed", 15)]),
            {"760401"},
        ),
    ],
    "messages-failing": [
        (
            "half of them",
            Snapshot(
                AT,
                [
                    *spread("notification.failed", 4, channel="whatsapp", code="not_on_whatsapp"),
                    *spread("notification.unknown", 1, channel="whatsapp"),
                    *spread("notification.sent", 5, channel="whatsapp"),
                ],
            ),
            {"whatsapp"},
        ),
        ("all arrive", Snapshot(AT, spread("notification.sent", 5, channel="whatsapp")), set()),
    ],
    "shared-account": [
        ("five", Snapshot(AT, accounts=[SharedAccount("a-1", 5), SharedAccount("a-2", 4)]), {"a-1"}),
    ],
    "village-surge": [
        ("ten times four and above the floor", month(60), {VILLAGE}),
        ("nine times", month(36 + 14, usual=5), {VILLAGE}),
        ("many, and usual there", month(60, usual=30), set()),
        ("ten times, but few", month(49), set()),
        ("a village that never registered", month(50, usual=0), {VILLAGE}),
        ("nobody knows what is usual yet", month(5_000, days=6), set()),
    ],
    "dead-letters-growing": [
        ("six", Snapshot(AT, [pane(3, "dead-letter.registry", 6, code="not_json")]), {"dead-letter.registry"}),
        ("five", Snapshot(AT, [pane(3, "dead-letter.registry", 5)]), set()),
        ("six, twenty minutes ago", Snapshot(AT, [pane(20, "dead-letter.registry", 6)]), set()),
    ],
    "sequence-gap": [
        ("an hour ago", gap(60), {"payout.ordered/3"}),
        ("the day before", gap(25 * 60), set()),
    ],
    "budget-nearly-used": [
        ("95 of 100", cycles(950_000), {"sembako-2026-11"}),
        ("less", cycles(949_999), set()),
    ],
}


@pytest.mark.parametrize(
    ("rule", "snapshot", "about"),
    [
        pytest.param(rule, snapshot, about, id=f"{rule}: {what}")
        for rule, rows in EXAMPLES.items()
        for what, snapshot, about in rows
    ],
)
def test_examples(rule: str, snapshot: Snapshot, about: set[str]) -> None:
    raised = judge([RULES[rule]], snapshot, ()).raised
    assert {subject.about for subject in raised} == about
    for subject, finding in raised.items():
        texts = worded(RULES[rule], subject.about, finding.value)
        assert subject.about in texts.what.id + texts.look.id
        assert subject.about in texts.what.en + texts.look.en
        assert "{" not in "".join(t.id + t.en for t in (texts.what, texts.look, texts.do))


def test_every_rule_has_examples_a_page_and_topics_that_exist() -> None:
    assert EXAMPLES.keys() == RULES.keys()
    assert all(any(about for _, _, about in rows) for rows in EXAMPLES.values()), "one in which it stands"
    for rule in RULES.values():
        assert (Path(__file__).parents[2] / rule.runbook).is_file(), rule.runbook
        named = [*getattr(rule, "of", ()), *getattr(rule, "among", ())]
        if isinstance(rule, Silence):
            assert set(rule.stages) <= set(STAGES)
            named = [term for pair in rule.stages.values() for terms in pair for term in terms]
        for term in named:
            topic = term.partition(":")[0]
            intake = topic in ("registration.submitted.*", "flag.submitted.*")
            assert intake or any(name == topic or name.startswith(topic.rstrip("*")) for name in FLOW_TOPICS), term


def test_an_alert_on_the_edge_stays_as_it_is() -> None:
    rule = RULES["payouts-failing"]
    subject = Subject(rule.name, "himbara")
    bad = bank(5, 5)
    good_minute = [
        p._replace(n=p.n * 40 if p.topic == "payout.confirmed" else p.n) for p in bad if p.start_s == AT - 60
    ]
    edge = Snapshot(AT, [*(p for p in bad if p.start_s != AT - 60), *good_minute])
    assert judge([rule], edge, ()).raised == {}, "not in all of the last windows"
    assert judge([rule], edge, {subject}).cleared == {}, "not in none of them either"
    assert judge([rule], Snapshot(AT, bad), {subject}) == ({}, {}), "raised once"
    over = Snapshot(AT + 30 * MINUTE_S, bad)
    assert set(judge([rule], over, {subject}).cleared) == {subject}
    assert judge([rule], over, ()) == ({}, {}), "cleared once"


def test_alerts_about_what_is_gone_and_of_rules_that_are_gone_are_over() -> None:
    old = {Subject("no-such-rule", "x"), Subject("budget-nearly-used", "pkh-2025-Q1")}
    assert set(judge(rulebook(), cycles(1_000_000), old).cleared) == old


def test_a_monitor_that_catches_up_judges_only_windows_that_are_whole() -> None:
    behind = replace(cycles(1_000_000), minutes=bank(5, 5), current=False)
    stands = Subject("village-surge", VILLAGE)
    judged = judge(rulebook(), behind, {stands})
    assert {subject.rule for subject in judged.raised} == {"payouts-failing", "stage-silent"}
    assert judged.cleared == {}, "it is not over because nobody looked"


def test_words_are_written_as_each_language_writes_numbers() -> None:
    assert "1,204 events" in worded(RULES["stage-silent"], "payout", 1204).what.en
    assert "1.204 peristiwa" in worded(RULES["stage-silent"], "payout", 1204).what.id
    assert "12,5 kali" in worded(RULES["village-surge"], VILLAGE, 12.5).what.id
    assert "31% of the payouts through himbara" in worded(RULES["payouts-failing"], "himbara", 0.31).what.en

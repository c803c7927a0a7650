"""Looks at the rules every few seconds; raises and clears in one transaction with the events that say so."""

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import structlog
from aiokafka import TopicPartition

from services.monitor import looking, store
from services.monitor.domain.alerts import Judgement, Subject, judge, worded
from services.monitor.domain.rules import Finding, Rule
from services.monitor.domain.snapshot import Snapshot
from services.monitor.figures import show_windows
from services.monitor.intake import Reach
from services.monitor.metrics import ALERTS_MOVED, ALERTS_OPEN, BEHIND_SECONDS, COUNTS
from services.monitor.progress import Progress
from services.monitor.watching import WATCHED, Watch
from shared import clock
from shared.events import AlertCleared, AlertRaised, Cause, Event, caused_by, first_cause
from shared.events.alerts import Advice
from shared.events.codec import encode
from shared.runtime.emit import Outbox

log = structlog.get_logger()

BEHIND_MAX_S: Final = 600
"""A monitor that is further behind says so and judges nothing: it would tell of what was, as if it were."""
CURRENT_S: Final = 45
"""Within so long of now, rules judge also what is not cut off at the last full minute."""
STALLED_S: Final = 5.0
"""A partition that has more and did not move for so long is read again."""
ACCOUNTS_KEPT: Final = timedelta(days=35)
ACCOUNTS_MAX, FORGOTTEN_MAX = 200, 5_000


@dataclass(slots=True)
class Evaluator:
    """`turn` is a worker's turn. Alerts that stand are in the database, so a restart raises and clears nothing anew."""

    outbox: Outbox
    watch: Watch
    reach: Reach
    rules: Sequence[Rule]
    posts: bool
    """Whether there is a webhook to be told."""
    now: Callable[[], datetime] = clock.now
    behind_s: float = float("inf")
    last: Snapshot = field(default_factory=lambda: Snapshot(0))
    _expired_at: float = 0.0
    _looked_at: float = 0.0
    _progress: Progress = field(default_factory=Progress)

    async def turn(self) -> int:
        """Returns 0, so that the worker pauses."""
        if not self.watch.whole:
            return 0
        now_s = self.now().timestamp()
        ends = await self.reach.ends(WATCHED, self.outbox.partitions)
        until_s = self._progress.look(now_s, ends, self.watch.continuity.next)
        if now_s >= self._looked_at + STALLED_S:
            self._looked_at = now_s
            await self.watch.read_again(ends)
            await self._ask_for_what_never_comes()
        self.behind_s = max(0.0, now_s - until_s)
        BEHIND_SECONDS.set(self.behind_s)
        outside = await self.reach.panes(int(until_s) - int(until_s) % 60) if self.behind_s < BEHIND_MAX_S else ()
        at = datetime.fromtimestamp(until_s, UTC)
        accounts = await store.shared_accounts(self.outbox.pool, at, ACCOUNTS_KEPT, ACCOUNTS_MAX)
        self.last = looking.snapshot(self.watch.windows, until_s, outside, accounts, current=self.behind_s < CURRENT_S)
        show_windows(self.watch.windows, self.last)
        if self.behind_s < BEHIND_MAX_S:
            await self.judge(self.last)
        await self._tidy(now_s, at)
        return 0

    async def _ask_for_what_never_comes(self) -> None:
        continuity = self.watch.continuity
        for tp, offset in continuity.doubted().items():
            first = await self.reach.first(TopicPartition(*tp), offset)
            if first is None:
                continue
            if first > offset:
                log.error(
                    "Kafka has no such messages", topic=tp.topic, partition=tp.partition, offsets=[offset, first - 1]
                )
            continuity.held_from(tp, first)

    async def judge(self, snapshot: Snapshot) -> Judgement:
        """Raises what is new and clears what is over; nothing where a later minute was judged before a restart."""
        at = self.now()
        until = datetime.fromtimestamp(snapshot.at_s, UTC)
        async with self.outbox.transaction() as transaction:
            if not await store.judges(transaction.tx, until):
                return Judgement({}, {})
            open_now = await store.lock_open(transaction.tx)
            judgement = judge(self.rules, snapshot, open_now.keys())
            raised = await self._raise(transaction.tx, judgement.raised, at)
            cleared = await self._clear(transaction.tx, judgement, open_now, at)
            events: list[Event[Any]] = [*raised, *cleared]
            transaction.emit(events)
            if self.posts and events:
                await store.add_deliveries(transaction.tx, [(event.id, encode(event)) for event in events], at)
        for event in events:
            what = event.type.rpartition(".")[2]
            ALERTS_MOVED.labels(event.data.rule, what).inc()
            log.warning("alert " + what, rule=event.data.rule, about=event.data.about, value=event.data.value)
        self._show(open_now.keys() - judgement.cleared.keys() | judgement.raised.keys())
        return judgement

    async def _raise(
        self, tx: asyncpg.Connection, found: dict[Subject, Finding], at: datetime
    ) -> list[Event[AlertRaised]]:
        if not found:
            return []
        rules = {rule.name: rule for rule in self.rules}
        before = await store.raisings(tx, list(found))
        events, rows = [], []
        for subject, finding in sorted(found.items()):
            rule, raising = rules[subject.rule], before.get(subject, 0) + 1
            data = AlertRaised(
                rule=rule.name,
                about=subject.about,
                raising=raising,
                level=rule.level,
                since=datetime.fromtimestamp(finding.since_s, UTC),
                value=finding.value,
                threshold=rule.threshold,
                runbook=rule.runbook,
                advice=worded(rule, subject.about, finding.value),
            )
            key = f"{subject.rule}:{subject.about}"
            cause = first_cause(f"{key}:{raising}", "monitor")
            event = caused_by(cause, "monitor", data, subject=key, time=at)
            events.append(event)
            row = (data.rule, data.about, raising, data.level, data.since, data.value, data.threshold, data.runbook)
            rows.append(store.AlertRow(*row, data.advice.model_dump_json(), at, event.id))
        await store.add_alerts(tx, rows)
        return events

    async def _clear(
        self, tx: asyncpg.Connection, judgement: Judgement, open_now: dict[Subject, Any], at: datetime
    ) -> list[Event[AlertCleared]]:
        if not judgement.cleared:
            return []
        events = []
        for subject, finding in sorted(judgement.cleared.items()):
            row = open_now[subject]
            key = f"{subject.rule}:{subject.about}"
            first = first_cause(f"{key}:{row['raising']}", "monitor")
            data = AlertCleared(
                **{name: row[name] for name in ("rule", "about", "raising", "level", "since", "threshold", "runbook")},
                value=finding.value if finding else 0.0,
                advice=Advice.model_validate_json(row["advice"]),
                cleared_at=at,
            )
            cause = Cause(row["raised_id"], first.correlation_id, first.traceparent)
            events.append(caused_by(cause, "monitor", data, subject=key, time=at))
        await store.clear_alerts(tx, list(judgement.cleared), at)
        return events

    def _show(self, open_now: Any) -> None:
        tally = Tally(subject.rule for subject in open_now)
        for rule in self.rules:
            ALERTS_OPEN.labels(rule.name, rule.level).set(tally[rule.name])

    async def _tidy(self, now_s: float, at: datetime) -> None:
        """Once a minute, what is too old is forgotten."""
        if now_s < self._expired_at + 60:
            return
        self._expired_at = now_s
        self.watch.windows.expire()
        await store.forget_payments(self.outbox.pool, at - ACCOUNTS_KEPT, FORGOTTEN_MAX)
        for name, table in zip(self.watch.windows._fields, self.watch.windows, strict=True):
            COUNTS.labels(name).set(len(table))

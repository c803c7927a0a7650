"""What the monitor takes in from its own topics after its database was restored: which alerts it raised and cleared.

Accounts that were paid come from other topics; those of the time that was lost are not counted again.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from services.monitor import store
from services.monitor.store import AlertRow
from shared.events import AlertCleared, AlertRaised, Event
from shared.events.topics import Service
from shared.runtime.stage import Received


@dataclass(slots=True)
class MonitorRecovery:
    """An Importer of `shared.runtime.recovery`."""

    service: Service = "monitor"
    inputs: tuple[str, ...] = ()
    until: datetime | None = None
    raised: dict[tuple[str, str, int], AlertRow] = field(default_factory=dict)
    cleared: dict[tuple[str, str, int], datetime] = field(default_factory=dict)

    async def prepare(self, tx: asyncpg.Connection) -> None: ...

    async def told(self, tx: asyncpg.Connection, events: Sequence[Event[Any]]) -> None:
        for event in events:
            data = event.data
            key = data.rule, data.about, data.raising
            if isinstance(data, AlertRaised):
                said = (*key, data.level, data.since, data.value, data.threshold, data.runbook)
                self.raised[key] = AlertRow(*said, data.advice.model_dump_json(), event.time, event.id)
            elif isinstance(data, AlertCleared):
                self.cleared[key] = data.cleared_at

    async def read_again(self, tx: asyncpg.Connection, received: Sequence[Received]) -> None: ...

    async def finish(self, tx: asyncpg.Connection, at: datetime) -> AsyncIterator[Sequence[Event[Any]]]:
        """Oldest raisings first: of one rule and thing the one before must be over."""
        for key in sorted(self.raised.keys() | self.cleared.keys()):
            if row := self.raised.get(key):
                await store.add_alerts(tx, [row])
            if cleared_at := self.cleared.get(key):
                await store.clear_raising(tx, key, cleared_at)
        yield ()

    def summary(self) -> dict[str, int]:
        return {"alerts_raised": len(self.raised), "alerts_cleared": len(self.cleared)}

"""The portal's part of a recovery: there is little to lose.

The read model follows from the topics, and the stage reads on where the backup stood. Codes that the lost database had
issued are over by the time that anybody has restored it: whoever held one asks anew. So its own topic is taken as told,
and nothing else is brought back.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from shared.events.envelope import Event
from shared.events.topics import Service
from shared.runtime.stage import Received


@dataclass(slots=True)
class PortalRecovery:
    """An Importer."""

    service: Service = "portal"
    inputs: tuple[str, ...] = ()
    until: datetime | None = None
    _codes: int = 0

    async def prepare(self, tx: asyncpg.Connection) -> None:
        pass

    async def told(self, tx: asyncpg.Connection, events: Sequence[Event[Any]]) -> None:
        self._codes += len(events)

    async def read_again(self, tx: asyncpg.Connection, received: Sequence[Received]) -> None:
        pass

    async def finish(self, tx: asyncpg.Connection, at: datetime) -> AsyncIterator[Sequence[Event[Any]]]:
        """Requests that still wait for their code may have got it: nobody is sent two."""
        await tx.execute("UPDATE code_request SET state = 'ignored' WHERE state = 'asked'")
        nothing: tuple[Sequence[Event[Any]], ...] = ()
        for events in nothing:
            yield events

    def summary(self) -> dict[str, int]:
        return {"codes_that_are_over": self._codes}

"""What a service brings to its recovery, and how a recovery tells where it is."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Protocol

import asyncpg

from shared.events.envelope import Event
from shared.events.topics import Service
from shared.runtime.stage import Received


class Importer(Protocol):
    """A service's part. All calls are made in one transaction of a role that owns the tables, in this order; what they
    find impossible they raise as CannotRecover, and nothing has happened."""

    @property
    def service(self) -> Service: ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """The topics that the service's stage reads, without its replay topic."""

    @property
    def until(self) -> datetime | None:
        """Inputs that came to Kafka later are not handed to `read_again`; None: all are."""

    async def prepare(self, tx: asyncpg.Connection) -> None:
        """Before anything: temporary tables."""

    async def told(self, tx: asyncpg.Connection, events: Sequence[Event[Any]]) -> None:
        """Events of this service that its database does not know of, dead letters left out.

        Those of one partition come in order; between partitions and topics there is none, and some of what was
        committed together may never have been published.
        """

    async def read_again(self, tx: asyncpg.Connection, received: Sequence[Received]) -> None:
        """Inputs behind the stored position, in the order of their partitions. The position itself stays, so the
        service gets them all again: what was answered must then be known as answered."""

    def finish(self, tx: asyncpg.Connection, at: datetime) -> AsyncIterator[Sequence[Event[Any]]]:
        """After the last input; yields events that are still to be told, in the order in which they are to leave."""

    def summary(self) -> dict[str, int]:
        """What was done, in the field's words."""


class Progress(Protocol):
    """Is told of one part after the other."""

    def begin(self, what: str, total: int) -> None:
        """A new part, of `total` messages; 0 where nobody knows."""

    def advance(self, count: int) -> None:
        """So many more are done."""


class Silent:
    """Tells nothing."""

    def begin(self, what: str, total: int) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

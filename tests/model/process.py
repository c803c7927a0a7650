"""One process of a toy stage: the real loop, turn, outbox and publisher, on topics that are lists."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import asyncpg

from salur.contract.examples import example
from shared.events import EligibilityDecided, Event, RecipientRegistered, caused_by
from shared.privacy.keyring import Keyring
from shared.runtime.emit import Outbox, OutboxRow, Transaction
from shared.runtime.failures import is_trouble
from shared.runtime.loop import Loop
from shared.runtime.publisher import Publisher
from shared.runtime.stage import Batch, Stage
from shared.runtime.turn import Turn
from shared.settings import ServiceSettings
from tests.model.world import INPUT, Fate, ListConsumer, ListProducer, World

FAILING = "r-" + "f" * 32
"""The recipient on whom the handler always fails."""
CRASH_POINTS = (
    "in the handler",
    "handled, outbox not written",
    "outbox written",
    "committed",
    "before publishing",
    "published, not acknowledged",
    "before deleting",
    "deleted",
    "before committing offsets",
)


@dataclass(slots=True)
class CrashingOutbox(Outbox):
    fate: Fate = field(default_factory=Fate)

    async def _write(self, transaction: Transaction) -> list[OutboxRow]:
        self.fate.reach("handled, outbox not written")
        rows = await Outbox._write(self, transaction)  # slots make a new class: no super()
        self.fate.reach("outbox written")
        return rows


@dataclass(slots=True)
class ListPublisher(Publisher):
    world: World = field(default_factory=World)
    fate: Fate = field(default_factory=Fate)

    async def _ready_producer(self) -> Any:
        return ListProducer(self.world, self.fate)

    async def _delete(self, rows: Sequence[OutboxRow]) -> None:
        self.fate.reach("before deleting")
        await Publisher._delete(self, rows)
        self.fate.reach("deleted")


class HandedAgain(BaseException):
    """Whoever no longer owns the partition must find out before the handler sees anything."""


@dataclass(slots=True)
class Handler:
    """Each registration becomes one row and one decision."""

    fate: Fate
    trouble: int = 0

    async def handle(self, batch: Batch, tx: asyncpg.Connection) -> list[Event[EligibilityDecided]]:
        events = batch.of(RecipientRegistered)
        again = await tx.fetchval("SELECT count(*) FROM toy WHERE event_id = ANY ($1::text[])", [e.id for e in events])
        if again:
            raise HandedAgain(f"{again} events were handed to the handler although their effects are there")
        if any(event.subject == FAILING for event in events):
            raise ValueError("the handler fails on this one")
        await tx.execute(
            "INSERT INTO toy (recipient, event_id) SELECT * FROM unnest($1::text[], $2::text[])",
            [event.subject for event in events],
            [event.id for event in events],
        )
        self.fate.reach("in the handler")
        if self.trouble:
            self.trouble -= 1
            raise TimeoutError
        data = example(EligibilityDecided).data
        return [caused_by(e.cause, "eligibility", data, subject=e.subject, time=batch.at) for e in events]


@dataclass(slots=True)
class Process:
    """Steps are what the loop and the publisher do of themselves, one at a time."""

    loop: Loop
    publisher: ListPublisher
    consumer: ListConsumer
    handler: Handler
    fate: Fate

    async def turn(self) -> int:
        """One poll and its transaction. Trouble is met as the loop meets it: the positions are read anew.

        It is as busy as a loop can be: never idle for long enough to look whether its positions were moved, so what a
        person resumed must be seen by itself.
        """
        self.loop._resumed_look_at = 0.0
        self.loop._moved_look_at = inf
        self.loop._offsets_committed_at = 0.0
        try:
            return await self.loop._once(self.consumer)  # type: ignore[arg-type]
        except Exception as error:
            if not is_trouble(error):
                raise
            self.loop._taken = -1
            return 0

    async def publish(self) -> int:
        self.publisher._look_at = 0.0
        return await self.publisher.publish_some()

    def rebalance(self) -> None:
        self.loop._generation.number += 1


def started(world: World, pool: asyncpg.Pool, settings: ServiceSettings, keyring: Keyring) -> Process:
    fate = Fate()
    handler = Handler(fate)
    stage = Stage("eligibility", (INPUT,), handler.handle)
    outbox = CrashingOutbox("eligibility", pool, 1, fate=fate)
    publisher = ListPublisher("eligibility", pool, settings, world=world, fate=fate)

    def committed(rows: Sequence[OutboxRow]) -> None:
        fate.reach("committed")
        publisher.offer(rows)

    outbox.committed = committed
    loop = Loop(Turn(stage, outbox, keyring), publisher, settings)
    loop.turn.breaker.poison_min = 10**9
    return Process(loop, publisher, ListConsumer(world, fate, stage.topics), handler, fate)

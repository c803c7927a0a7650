"""Salur's competitor in `bench.stage`: one process of a service, as every service of Salur is run.

Each event has its row and its decision exactly once, whatever crashes; the decisions are numbered without a gap and
chained by a hash; what cannot be read goes to the dead letters.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg

from bench.work import INPUT, INSERT, decide
from shared.events import Event, RecipientRegistered
from shared.privacy.keyring import Keyring
from shared.runtime.emit import Outbox
from shared.runtime.service import Service, run
from shared.runtime.stage import Batch, Stage
from shared.settings import ServiceSettings


async def handle(batch: Batch, tx: asyncpg.Connection) -> Sequence[Event[Any]]:
    events = batch.of(RecipientRegistered)
    await tx.execute(INSERT, [event.subject for event in events], [event.id for event in events])
    return [decide(event, batch.at) for event in events]


async def build(outbox: Outbox, keyring: Keyring) -> Service:
    return Service(Stage("eligibility", (INPUT,), handle))


if __name__ == "__main__":
    settings = ServiceSettings()
    run("eligibility", settings, Keyring.load(settings.keys), build)

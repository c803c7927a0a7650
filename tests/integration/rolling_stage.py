"""A toy stage as its own process, of today's version or of the next: `python -m tests.integration.rolling_stage new`.

The next version has one optional field more in what it reads and one in what it writes, which is the only change that
the contract allows within a version.
"""

import sys
from collections.abc import Sequence
from typing import Any

import asyncpg

from salur.contract.examples import example
from shared.events import EligibilityDecided, Event, RecipientRegistered, caused_by
from shared.events.model import Data
from shared.events.topics import FLOW_TOPICS, MODELS
from shared.privacy.keyring import Keyring
from shared.runtime import Batch, Outbox, Service, Stage, run
from shared.settings import ServiceSettings


class NextRegistered(RecipientRegistered):
    """Tells also whether somebody visited the family."""

    visited: bool | None = None


class NextDecided(EligibilityDecided):
    """Tells also whether a visit counted."""

    counted_visit: bool | None = None


def decide(model: type[EligibilityDecided], event: Event[Any]) -> EligibilityDecided:
    decided = dict(example(EligibilityDecided).data)
    if model is NextDecided:
        decided["counted_visit"] = event.data.visited is True
    return model(**decided)


def adopt(*models: type[Data]) -> None:
    """Puts these in the place of the contract's models of the same type."""
    for model in models:
        MODELS[model.TYPE] = model
        FLOW_TOPICS[model.TYPE] = FLOW_TOPICS[model.TYPE]._replace(model=model)


def stage(model: type[EligibilityDecided]) -> Stage:
    """One row and one decision for each registration."""

    async def handle(batch: Batch, tx: asyncpg.Connection) -> Sequence[Event[Any]]:
        events = batch.of(RecipientRegistered)
        await tx.execute(
            "INSERT INTO toy (recipient, event_id) SELECT * FROM unnest($1::text[], $2::text[])",
            [event.subject for event in events],
            [event.id for event in events],
        )
        return [caused_by(e.cause, "eligibility", decide(model, e), subject=e.subject, time=batch.at) for e in events]

    return Stage("eligibility", (RecipientRegistered.TYPE,), handle)


def main(version: str) -> None:
    if version == "new":
        adopt(NextRegistered, NextDecided)
    model = NextDecided if version == "new" else EligibilityDecided

    async def build(outbox: Outbox, keyring: Keyring) -> Service:
        return Service(stage(model))

    settings = ServiceSettings()
    run("eligibility", settings, Keyring.load(settings.keys), build)


if __name__ == "__main__":
    main(sys.argv[1])

"""Waiting until what some stages have written was read by the others: seen in their databases alone."""

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Final, NamedTuple

from salur.inside.connect import database
from shared.events import EligibilityDecided, PayoutConfirmed, PayoutFailed
from shared.events.registrations import RecipientFlagged, RecipientRegistered, RecipientResealed
from shared.events.topics import FLOW_TOPICS, Service
from shared.runtime.positions import Place
from shared.settings import PostgresSettings

_LOOK_EVERY_S: Final = 0.5


class Passage(NamedTuple):
    """`reader` must have read these topics as far as they are written now."""

    reader: Service
    topics: tuple[str, ...]


SEALED_VALUES: Final = (
    Passage("eligibility", (RecipientRegistered.TYPE, RecipientFlagged.TYPE, RecipientResealed.TYPE)),
    Passage("payout", (RecipientResealed.TYPE, EligibilityDecided.TYPE)),
    Passage("notify", (RecipientResealed.TYPE, EligibilityDecided.TYPE, PayoutConfirmed.TYPE, PayoutFailed.TYPE)),
)
"""The way of sealed values, stage by stage: once the last passage is done, none of before is under way."""


class Behind(NamedTuple):
    """A stage that has not read everything, and how many events are before it."""

    reader: Service
    events: int


async def passed(settings: PostgresSettings, passages: Sequence[Passage], wait_s: float) -> Behind | None:
    """Waits for one passage after the other; what is written later is not waited for. None: all was read in time.

    Raises Away, NeverRan.
    """
    until = monotonic() + wait_s
    for passage in passages:
        written = await _written(settings, passage.topics)
        while missing := await _missing(settings, passage.reader, written):
            if monotonic() > until:
                return Behind(passage.reader, missing)
            await asyncio.sleep(_LOOK_EVERY_S)
    return None


async def _written(settings: PostgresSettings, topics: Sequence[str]) -> dict[Place, int]:
    heads: dict[Place, int] = {}
    for owner in sorted({str(FLOW_TOPICS[topic].owner) for topic in topics}):
        async with database(settings, owner) as connection:
            rows = await connection.fetch(
                "SELECT topic, partition, next_sequence FROM output_position WHERE topic = ANY ($1::text[])", topics
            )
        heads |= {Place(row[0], row[1]): row[2] for row in rows}
    return heads


async def _missing(settings: PostgresSettings, reader: Service, written: Mapping[Place, int]) -> int:
    async with database(settings, reader) as connection:
        rows = await connection.fetch("SELECT topic, partition, next_sequence FROM input_position")
    read = {Place(row[0], row[1]): row[2] for row in rows}
    return sum(max(0, sequence - read.get(place, 0)) for place, sequence in written.items())

"""What a stage takes from `recipient.resealed`: the same values under newer keys, for rows of the same revision.

The sequence of the event is kept beside a row. So a row takes each at most once and never an earlier one after a later
one: not when its inputs are read again after a restore, and not from the replay topic, where there is no sequence. What
was put back there is passed over; `salur keys reseal` tells it once more.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from shared.events import Event, RecipientResealed
from shared.runtime.stage import Received

R = TypeVar("R")


class Values(NamedTuple):
    """The values of one registration, as plain text."""

    recipient_id: str
    revision: int
    sequence: int
    eligibility: str | None
    payment: str | None
    contact: str | None


class FlagValues(NamedTuple):
    """The flags of one flag revision, as plain text."""

    recipient_id: str
    revision: int
    sequence: int
    flags: str


def values_in(received: Iterable[Received]) -> list[Values]:
    """Of each registration what was told last, in the order of ids and revisions."""
    told = {(row.recipient_id, row.revision): row for row in _each(received, _values) if row.revision}
    return [told[key] for key in sorted(told)]


def flags_in(received: Iterable[Received]) -> list[FlagValues]:
    """Of each flag revision what was told last, in the order of ids and revisions."""
    told = {(row.recipient_id, row.revision): row for row in _each(received, _flags) if row.flags}
    return [told[key] for key in sorted(told)]


def _each(received: Iterable[Received], row: Callable[[Event[RecipientResealed], int], R]) -> Iterator[R]:
    for message, event in received:
        if message.topic == RecipientResealed.TYPE and message.sequence is not None:
            yield row(event, message.sequence)


def _values(event: Event[RecipientResealed], sequence: int) -> Values:
    data = event.data
    parts = (data.eligibility, data.payment, data.contact)
    return Values(event.subject, data.revision, sequence, *(part.value if part else None for part in parts))


def _flags(event: Event[RecipientResealed], sequence: int) -> FlagValues:
    data = event.data
    return FlagValues(event.subject, data.flag_revision, sequence, data.flags.value if data.flags else "")

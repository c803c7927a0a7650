"""What rows and events must agree on, as data: each stage's file beside this one lists its agreements.

Events and rows are written in one transaction, so at any moment a row says what the last event about it says. Events
that a stage reads are looked at in the same way: what it copied of them must be what they said.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal, NamedTuple, TypeAlias

from salur.inside.audit.spill import ANY
from shared.events.model import Data
from shared.events.topics import Service

Json: TypeAlias = dict[str, Any]
"""A CloudEvent as it was parsed, with the `sequence` that it carries in its header."""


class Says(NamedTuple):
    """What one event says about one row. `fields` in the order of the agreement's."""

    key: str
    rank: int | str
    fields: tuple[str | None, ...]


Reading: TypeAlias = Callable[[Json], Iterable[Says]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """`sql` selects key and fields as text, in one schema; `reads` says what events of each topic mean for them.

    Of several events about a key the one with the highest rank counts, and among those the `tie`. `once`: there may be
    only one. `gapless`: the ranks are revisions, 1 and up, none left out and none twice. `optional`: an event without a
    row is right.
    """

    table: str
    fields: tuple[str, ...]
    sql: str
    reads: Mapping[str, Reading]
    tie: Literal["first", "last"] = "last"
    once: bool = False
    gapless: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """`sql` selects a key and a sentence for each row that contradicts another row."""

    table: str
    sql: str


@dataclass(frozen=True, slots=True)
class StageRules:
    """Everything that is checked of one stage's rows."""

    stage: Service
    agreements: tuple[Agreement, ...]
    checks: tuple[Check, ...] = ()


def topic(model: type[Data]) -> str:
    """The topic of the events of this model."""
    return model.TYPE


def sealed(text: str | None) -> str | None:
    """A sealed value as it is compared: a hash of its text, as `SEALED_SQL` makes it."""
    return None if text is None else sha256(text.encode()).hexdigest()[:32]


def sealed_sql(column: str) -> str:
    return f"left(encode(sha256(convert_to({column}, 'UTF8')), 'hex'), 32)"


def unless_sql(otherwise: str, field: str) -> str:
    """A field that this event need not say where `otherwise` holds: the row took it from another one."""
    return f"CASE WHEN {otherwise} THEN chr({ord(ANY)}) ELSE {field} END"


def resealed(event: Json) -> Iterable[Says]:
    """What one `recipient.resealed` says, for rows that took their values from it and say so by its sequence."""
    data = event["data"]
    parts = (data.get("eligibility"), data.get("payment"), data.get("contact"))
    if data["revision"]:
        key = f"{event['subject']}/{event['sequence']}"
        yield Says(key, 0, (str(data["revision"]), *map(sealed, parts)))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(time: str) -> int:
    """An ISO time as microseconds since 1970."""
    return (datetime.fromisoformat(time) - _EPOCH) // _MICROSECOND


def micros_sql(column: str) -> str:
    return f"(extract(epoch FROM {column}) * 1000000)::bigint::text"

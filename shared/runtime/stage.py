"""What a stage is, and what it is handed."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias, TypeVar

import asyncpg

from shared.errors import SalurError
from shared.events.envelope import Event
from shared.events.model import Data
from shared.events.topics import Service, replay_topic

D = TypeVar("D", bound=Data)


class Message(NamedTuple):
    """One record as it came from Kafka. `sequence` is None where the topic carries none."""

    topic: str
    partition: int
    offset: int
    sequence: int | None
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    decoded: Any = None
    """The event or the poison in it, where that was found out ahead."""


class Received(NamedTuple):
    """A message that is a valid event of the contract."""

    message: Message
    event: Event[Any]


class Unusable(SalurError):
    """A handler names the events of its batch that are in form and that it can do nothing with.

    They go to the dead letters with this message as the reason, and the others are handed in again, at once: without a
    name the runtime halves the batch until it has found them, which costs a transaction for each of many halves.
    """

    def __init__(self, events: Sequence[Event[Any]], reason: str) -> None:
        assert events
        super().__init__(reason)
        self.events = events


class KeyAway(SalurError):
    """A handler names the events of its batch that are sealed with keys which this process does not hold.

    The runtime waits for the keys a while and hands the events in again, or puts them into the dead letters; see
    `awaited`. A handler that meets a missing key anywhere else (in its own tables) lets KeyMissing pass: trouble.
    """

    def __init__(self, events: Sequence[tuple[Event[Any], str]]) -> None:
        """Events with the id of the key that each lacks."""
        assert events
        super().__init__("events are sealed with keys that are not held")
        self.events = events


@dataclass(frozen=True, slots=True)
class Batch:
    """Valid events in the order of their partitions; `at` is the time of this turn."""

    received: Sequence[Received]
    at: datetime

    def of(self, *models: type[D]) -> list[Event[D]]:
        """The events of these types, in order."""
        types = {model.TYPE for model in models}
        return [event for _, event in self.received if event.type in types]

    def __iter__(self) -> Iterator[Received]:
        return iter(self.received)

    def __len__(self) -> int:
        return len(self.received)


Handle: TypeAlias = Callable[[Batch, asyncpg.Connection], Awaitable[Sequence[Event[Any]]]]


@dataclass(frozen=True, slots=True)
class Stage:
    """A service's rule of motion: which topics it reads and what follows from a batch of them.

    `handle` runs inside one transaction and may raise anything: trouble is retried, everything else is isolated to
    the message that causes it. It calls no outside system, and it never commits.
    """

    service: Service
    inputs: tuple[str, ...]
    handle: Handle

    @property
    def topics(self) -> tuple[str, ...]:
        return (*self.inputs, replay_topic(self.service))

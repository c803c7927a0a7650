"""One turn: a batch of screened messages becomes effects and events in one transaction.

A batch that fails is halved until the message that fails alone is found; that one goes to the dead letters and its
neighbours pass. A message that lacks a key holds back its partition for a while, and no other.
"""

import traceback
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from shared.clock import now
from shared.events.codec import Undecodable, decode, decode_any
from shared.events.envelope import Event
from shared.events.topics import topic_named
from shared.privacy.keyring import Keyring
from shared.runtime import positions
from shared.runtime.awaited import AwaitedKeys
from shared.runtime.breaker import Breaker, BreakerOpen
from shared.runtime.deadletter import Poison, dead_letter, dead_lettered, place_of
from shared.runtime.emit import Outbox
from shared.runtime.failures import is_trouble
from shared.runtime.positions import NotOwner, Place, Position
from shared.runtime.screening import reached_by
from shared.runtime.stage import Batch, KeyAway, Message, Received, Stage, Unusable
from shared.telemetry.metrics import EVENTS_IN, KEY_AWAITED, POISONED

log = structlog.get_logger()

Decoded: TypeAlias = Event[Any] | Poison


@dataclass(slots=True)
class Turn:
    """Handles batches for one process. `positions` are the stored ones as this worker knows them."""

    stage: Stage
    outbox: Outbox
    keyring: Keyring
    breaker: Breaker = field(default_factory=Breaker)
    positions: dict[Place, Position] = field(default_factory=dict)
    key_wait_s: float = 60.0
    awaited: AwaitedKeys = field(init=False)
    held: dict[Place, str] = field(default_factory=dict)
    """Partitions of which nothing more is handled until they are read anew, with the key that is waited for."""

    def __post_init__(self) -> None:
        self.awaited = AwaitedKeys(self.keyring, self.key_wait_s)

    async def handle(self, messages: Sequence[Message]) -> None:
        """All effects of these messages, each exactly once, however often they are handed in.

        Raises NotOwner, BreakerOpen, or trouble; what was committed before stays committed and known in `positions`.
        """
        decoded = [message.decoded or self.decode(message.topic, message.value) for message in messages]
        await self._commit_or_halve(messages, decoded)

    async def skip_to(self, reached: Mapping[Place, Position]) -> None:
        """Moves past messages that were dropped. Raises NotOwner, or trouble."""
        ahead = {p: position for p, position in reached.items() if position != self.positions[p] and p not in self.held}
        if ahead:
            async with self.outbox.transaction() as transaction:
                await positions.move(transaction.tx, self.positions, ahead)
            self.positions.update(ahead)

    async def _commit_or_halve(self, messages: Sequence[Message], decoded: Sequence[Decoded]) -> None:
        try:
            await self._commit(messages, decoded)
            return
        except (NotOwner, BreakerOpen):
            raise
        except KeyAway as error:
            rest = self._hold(messages, decoded, {id(event): key_id for event, key_id in error.events})
            if rest:
                await self._commit_or_halve(*zip(*rest, strict=True))
            return
        except Unusable as error:
            named = {id(event) for event in error.events}
            poison = Poison("handler_failed", error.message)
            decoded = [poison if id(one) in named else one for one in decoded]
            log.warning("the handler cannot use messages", messages=len(named), error=error.message)
            await self._commit_or_halve(messages, decoded)
            return
        except Exception as error:
            if is_trouble(error) or (len(messages) == 1 and isinstance(decoded[0], Poison)):
                raise
            culprit = describe(error)
        if len(messages) == 1:
            log.warning(
                "handler failed on a message", topic=messages[0].topic, offset=messages[0].offset, error=culprit
            )
            await self._commit(messages, [Poison("handler_failed", culprit)])
            return
        middle = len(messages) // 2
        await self._commit_or_halve(messages[:middle], decoded[:middle])
        after = [pair for pair in zip(messages[middle:], decoded[middle:], strict=True) if not self._is_held(pair[0])]
        if after:
            await self._commit_or_halve(*zip(*after, strict=True))

    def _hold(
        self, messages: Sequence[Message], decoded: Sequence[Decoded], missing: Mapping[int, str]
    ) -> list[tuple[Message, Decoded]]:
        """What can be handled now. Of a partition that is held back nothing from the first message on that lacks a key:
        a recipient's events stay in order. `missing`: key ids by the identity of the event."""
        rest: list[tuple[Message, Decoded]] = []
        for message, one in zip(messages, decoded, strict=True):
            key_id = missing.get(id(one))
            if self._is_held(message):
                continue
            if key_id is None:
                rest.append((message, one))
            elif self.awaited.waits_for(key_id):
                self.held[Place(message.topic, message.partition)] = key_id
                KEY_AWAITED.labels(self.stage.service, key_id).set(1)
            else:
                reason = f"it is sealed with key {key_id}, which this service does not hold; once it does, replay this"
                rest.append((message, Poison("key_missing", reason)))
        return rest

    def let_go(self) -> None:
        """Nothing is held back any more; the positions must be read anew before the next turn."""
        for key_id in self.held.values():
            KEY_AWAITED.labels(self.stage.service, key_id).set(0)
        self.held.clear()

    def _is_held(self, message: Message) -> bool:
        return Place(message.topic, message.partition) in self.held

    async def _commit(self, messages: Sequence[Message], decoded: Sequence[Decoded]) -> None:
        at = now()
        reached = reached_by(messages, self.positions)
        pairs = list(zip(messages, decoded, strict=True))
        batch = Batch([Received(m, e) for m, e in pairs if not isinstance(e, Poison)], at)
        poisoned = [(m, p) for m, p in pairs if isinstance(p, Poison)]
        async with self.outbox.transaction() as transaction:
            transaction.partitions.update((m.key, m.partition) for m in messages if m.key and m.sequence is not None)
            await positions.move(transaction.tx, self.positions, reached)
            if batch.received:
                transaction.emit(await self.stage.handle(batch, transaction.tx))
            told = await dead_lettered(transaction.tx, [m for m, _ in poisoned]) if poisoned else frozenset()
            transaction.emit(
                dead_letter(self.stage.service, self.keyring, m, p, at) for m, p in poisoned if place_of(m) not in told
            )
        self.positions.update(reached)
        self._count(messages, poisoned)

    def _count(self, messages: Sequence[Message], poisoned: Sequence[tuple[Message, Poison]]) -> None:
        for topic, count in Tally(map(attrgetter("topic"), messages)).items():
            EVENTS_IN.labels(self.stage.service, topic).inc(count)
        for message, poison in poisoned:
            POISONED.labels(self.stage.service, message.topic, poison.code).inc()
        self.breaker.record(len(messages), len(poisoned))

    def decode(self, topic: str, value: bytes | None) -> Decoded:
        return decoded(topic, value, self.stage.inputs)


def decoded(topic: str, value: bytes | None, inputs: Sequence[str]) -> Decoded:
    """The event in a message of a stage that reads `inputs` (topics; the replay topic carries any of their types)."""
    try:
        if value is None:
            return Poison("empty", "the message has no value, or headers that nobody can read")
        if model := topic_named(topic).model:
            return decode(model, value)
        models = (topic_named(name).model for name in inputs)
        return decode_any(value, frozenset(model.TYPE for model in models if model))
    except Undecodable as error:
        return Poison(error.code, error.reason)


def describe(error: Exception) -> str:
    """What failed and where, without the error's own words: those may repeat a person's data."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = getattr(error, "constraint_name", None) or getattr(error, "sqlstate", None)
    named = f"{type(error).__name__} ({what})" if what else type(error).__name__
    return f"{named} at {Path(frame.filename).name}:{frame.lineno} in {frame.name}"

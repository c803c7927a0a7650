"""Puts the input on the intake topics: rows of the files in any order, some of them twice, and poison.

Whatever the broker does meanwhile, everything is sent in the end, in order; what a lost acknowledgement makes it send
twice has no further effect.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final, NamedTuple, TypeAlias

from aiokafka.errors import KafkaError

from salur.chaos.poison import Poison, make
from salur.intake.kinds import Kind
from salur.intake.publishing import producing, publish
from salur.intake.sealing import Ready, Refused, Sealer
from salur.intake.table import Row, Table
from salur.intake.upstream import Upstream
from shared.errors import Trouble
from shared.events.topics import intake_topic
from shared.partition import partition_of
from shared.reading import partitions_of
from shared.settings import KafkaSettings

SENT_WITHIN_S: Final = 20.0
"""After so long without an acknowledgement everything in flight is sent again, by another producer."""
_PAUSE_S: Final = 0.5
_ROWS_AT_ONCE: Final = 500


class File(NamedTuple):
    """One input file with what makes events of its rows."""

    topic: str
    rows: tuple[Row, ...]
    sealer: Sealer

    @classmethod
    def read(cls, path: Path, kind: Kind, upstream: Upstream, partitions: int, at: datetime) -> "File":
        """Raises FileInvalid."""
        table = Table(path, kind)
        try:
            rows = tuple(table.rows())
            sealer = Sealer(upstream, kind.name, path.name.partition(".")[0], table.columns, partitions, at)
        finally:
            table.close()
        return cls(intake_topic(kind.model, upstream.source), rows, sealer)

    def shuffled(self, seed: int) -> "File":
        """The same rows in another order; their numbers, and so the submissions' ids, stay."""
        chance = Random(f"order {seed} {self.topic}")  # noqa: S311 - repeatable on purpose
        return self._replace(rows=tuple(chance.sample(self.rows, len(self.rows))))

    def slices(self, count: int) -> list["File"]:
        """Cut into `count` files of about the same size."""
        size, cuts = len(self.rows), max(1, count)
        return [self._replace(rows=self.rows[size * i // cuts : size * (i + 1) // cuts]) for i in range(cuts)]

    def again(self, chance: Random, most: int) -> "File":
        """Some of these rows as a file that is sent once more some days later: sealed anew, under the same ids."""
        later = self.sealer._replace(started_at=self.sealer.started_at + timedelta(days=1))
        return self._replace(rows=tuple(chance.choices(self.rows, k=most)) if self.rows else (), sealer=later)

    def sealed(self) -> list[Ready | Refused]:
        """Costs about 0.1 ms a row."""
        return self.sealer.seal(self.rows)


Load: TypeAlias = "File | list[Poison]"


@dataclass(slots=True)
class Feed:
    """Sends what it is given, one after the other, for as long as its task runs."""

    kafka: KafkaSettings
    upstream: Upstream
    seed: int
    poison: list[Poison] = field(default_factory=list)
    rows_sent: int = 0
    _waiting: asyncio.Queue[Load] = field(default_factory=asyncio.Queue)
    _sent: list[File] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def rows(self, file: File) -> None:
        self._waiting.put_nowait(file)
        self._sent.append(file)

    def repeat(self, number: int, most: int) -> int:
        """Sends some of the rows again that were given before, drawn from the seed and `number`. Returns how many."""
        given = [file for file in self._sent if file.rows]
        if not given:
            return 0
        chance = _chance("repeat", self.seed, number)
        again = chance.choice(given).again(chance, most)
        self._waiting.put_nowait(again)
        return len(again.rows)

    def poisoned(self, count: int) -> list[Poison]:
        numbers = range(len(self.poison), len(self.poison) + count)
        made = [make(_chance("poison", self.seed, number), number, self.upstream) for number in numbers]
        self.poison += made
        self._waiting.put_nowait(made)
        return made

    async def done(self) -> None:
        """Returns when everything is acknowledged. Raises what ended the feed."""
        assert self._task, "a feed is started first"
        waiting = asyncio.create_task(self._waiting.join())
        await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._task.done():
            self._task.result()

    async def _run(self) -> None:
        while True:
            load = await self._waiting.get()
            for part in _parts(load):
                await self._surely(part)
            if isinstance(load, File):
                self.rows_sent += len(load.rows)
            self._waiting.task_done()

    async def _surely(self, part: Load) -> None:
        while True:
            try:
                async with asyncio.timeout(SENT_WITHIN_S):
                    await self._send(part)
                return
            except (KafkaError, Trouble, OSError, TimeoutError):
                await asyncio.sleep(_PAUSE_S)

    async def _send(self, part: Load) -> None:
        async with producing(self.kafka) as producer:
            if isinstance(part, File):
                ready = [one for one in part.sealed() if isinstance(one, Ready)]
                for acknowledged in await publish(producer, part.topic, ready):
                    await acknowledged
                return
            counts = await partitions_of(self.kafka, {poison.topic for poison in part})
            for poison in part:
                partition = partition_of(poison.key, counts[poison.topic])
                await producer.send_and_wait(poison.topic, poison.value, key=poison.key, partition=partition)


def _chance(what: str, seed: int, number: int) -> Random:
    return Random(f"{what} {seed} {number}")  # noqa: S311 - repeatable on purpose


def _parts(load: Load) -> Sequence[Load]:
    if not isinstance(load, File):
        return [load]
    return load.slices(-(-len(load.rows) // _ROWS_AT_ONCE)) if load.rows else []

"""Sends one file: reads, seals, publishes, and collects the answer to each row."""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

from aiokafka.errors import KafkaError

from salur.intake.answers import Answers, Outcome
from salur.intake.collecting import Collector, collecting
from salur.intake.kinds import CELL_PROBLEMS, Kind
from salur.intake.publishing import NoIntakeTopic, producing, publish
from salur.intake.results import results_path, write_results
from salur.intake.sealing import Ready, Refused, Sealer, sealed_chunks
from salur.intake.table import Table
from salur.intake.upstream import Upstream
from shared.clock import now
from shared.errors import Trouble
from shared.events.topics import intake_topic
from shared.reading import partitions_of
from shared.settings import KafkaSettings

MALFORMED_SHOWN_MAX: Final = 20
_UNACKNOWLEDGED_MAX: Final = 64
_STEM_CHARS_MAX: Final = 80


@dataclass(frozen=True, slots=True)
class Options:
    """`timeout_s`: how long to wait without any new answer. `results`: where the results go, else beside the file."""

    wait: bool = True
    timeout_s: float = 60
    results: Path | None = None


@dataclass(slots=True)
class Progress:
    """How far it is; the same object is handed out again and again."""

    bytes: int
    bytes_read: int = 0
    rows: int = 0
    sent: int = 0
    answered: int = 0


@dataclass(slots=True)
class Summary:
    """What came of a file. `malformed` holds the first rows that could not be sent, in words."""

    file: str
    source: str
    kind: str
    rows: int
    sent: int
    answers: dict[str, int]
    unanswered: int
    seconds: float
    rows_per_second: float
    results: str | None
    malformed: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Every row was sent and, unless nobody waited, answered. A rejection is an answer."""
        return self.sent == self.rows and (self.results is None or self.unanswered == 0)


async def submit(
    file: Path,
    kind: Kind,
    upstream: Upstream,
    kafka: KafkaSettings,
    options: Options | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Summary:
    """Sends a file, from its beginning, as often as one likes: a row that was sent before has no further effect.

    Raises FileInvalid, NoIntakeTopic, Trouble. When it is interrupted, what is known so far is in the results file.
    """
    return await _Run(file, kind, upstream, kafka, options or Options(), progress).run()


def stem_of(file: Path) -> str:
    """What the ids of a file's submissions begin with: its name without endings, in plain characters."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", file.name.partition(".")[0] or "file")[:_STEM_CHARS_MAX]


class _Run:
    def __init__(
        self,
        file: Path,
        kind: Kind,
        upstream: Upstream,
        kafka: KafkaSettings,
        options: Options,
        progress: Callable[[Progress], None],
    ) -> None:
        self.file, self.kind, self.upstream, self.kafka, self.options = file, kind, upstream, kafka, options
        self.tell = progress
        self.table = Table(file, kind)
        self.stem = stem_of(file)
        self.topic = intake_topic(kind.model, upstream.source)
        self.results = options.results or results_path(file)
        self.repeated = self.results.exists()
        self.answers = Answers(kind, upstream.source, self.stem)
        self.progress = Progress(self.table.bytes)
        self.malformed: list[str] = []
        self.started = monotonic()
        self.sent_at = self.started

    async def run(self) -> Summary:
        try:
            partitions = await partitions_of(self.kafka, (self.topic, *self.kind.answers))
            if self.topic not in partitions:
                raise NoIntakeTopic(
                    f"there is no topic {self.topic}",
                    hint=f"is the registry up, and may {self.upstream.source} send a {self.kind.name}?",
                )
            count = partitions[self.topic]
            if self.options.wait:
                await self._send_and_collect(count, {t: n for t, n in partitions.items() if t != self.topic})
            else:
                await self._send(count)
        except KafkaError as error:
            raise Trouble(
                f"the broker went away while {self.file} was sent ({type(error).__name__})",
                hint="send the file once more: what was sent has no further effect",
            ) from None
        finally:
            self.table.close()
        return self._summary()

    async def _send_and_collect(self, count: int, answer_topics: dict[str, int]) -> None:
        async with collecting(self.kafka, self.answers, answer_topics) as collector:
            sending = asyncio.create_task(self._send(count))
            try:
                while not sending.done():
                    await self._collect(collector)
                await sending
                await self._wait_for_answers(collector)
            finally:
                sending.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await sending
                write_results(self.results, self.stem, self.answers)

    async def _wait_for_answers(self, collector: Collector) -> None:
        """Until each row has its answer, or none came for so long as the options say."""
        if self.repeated and self.answers.unanswered:
            await collector.look_back()
        looked_back, until = self.repeated, monotonic() + self.options.timeout_s
        while self.answers.unanswered:
            if await self._collect(collector):
                until = monotonic() + self.options.timeout_s
            elif monotonic() > until:
                if looked_back or not await collector.look_back():
                    return
                looked_back = True

    async def _collect(self, collector: Collector) -> int:
        came = await collector.some()
        self.progress.answered = self.answers.rows - self.answers.unanswered - self.answers.counts["not_sent"]
        self.tell(self.progress)
        return came

    async def _send(self, count: int) -> None:
        sealer = Sealer(self.upstream, self.kind.name, self.stem, self.table.columns, count, now())
        unacknowledged: deque[Any] = deque()
        run = asyncio.get_running_loop().run_in_executor
        async with producing(self.kafka) as producer:
            async for chunk in sealed_chunks(sealer, self.table, run):
                ready = self._take(chunk)
                unacknowledged.extend(await publish(producer, self.topic, ready))
                while len(unacknowledged) > _UNACKNOWLEDGED_MAX:
                    await _acknowledged(unacknowledged)
                self.progress.sent += len(ready)
                self.progress.bytes_read = self.table.bytes_read
                self.tell(self.progress)
                await asyncio.sleep(0)
            while unacknowledged:
                await _acknowledged(unacknowledged)
        self.sent_at = monotonic()

    def _take(self, chunk: list[Ready | Refused]) -> list[Ready]:
        """Notes the rows, in order, before anything is published: an answer may come at once."""
        ready = []
        for one in chunk:
            self.progress.rows += 1
            if isinstance(one, Ready):
                self.answers.expect(one.row, one.mac)
                ready.append(one)
                continue
            text = CELL_PROBLEMS[one.code]
            self.answers.refuse(one.row, Outcome("not_sent", "", ((one.column, one.code, text.id, text.en),)))
            if len(self.malformed) < MALFORMED_SHOWN_MAX:
                column = f", column {one.column}" if one.column else ""
                self.malformed.append(f"{self.file.name}, row {one.row} (line {one.line}){column}: {text.en}")
        return ready

    def _summary(self) -> Summary:
        counts = dict(sorted(self.answers.counts.items()))
        sending_s = max(self.sent_at - self.started, 1e-9)
        return Summary(
            file=str(self.file),
            source=self.upstream.source,
            kind=self.kind.name,
            rows=self.progress.rows,
            sent=self.progress.sent,
            answers=counts,
            unanswered=self.answers.unanswered,
            seconds=round(monotonic() - self.started, 2),
            rows_per_second=round(self.progress.sent / sending_s, 1),
            results=str(self.results) if self.options.wait else None,
            malformed=self.malformed,
        )


async def _acknowledged(waiting: deque[Any]) -> None:
    await waiting.popleft()

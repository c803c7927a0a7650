"""The runtime of one partition, driven by chance, against a model of what a reader of its topics must see.

Crashes in every gap, duplicates, zombies, rebalances, poison, trouble, lost events and restored databases.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, ClassVar, TypeVar

import asyncpg
from aiokafka import TopicPartition
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from salur.contract.examples import example
from shared.events import DeadLetter, EligibilityDecided, RecipientRegistered, caused_by, first_cause
from shared.events.codec import decode, encode
from shared.privacy.keyring import Keyring
from shared.runtime.digest import START, extend, headers
from shared.runtime.payload import unpack
from shared.runtime.positions import Place, Position
from shared.runtime.resumption import resume_partition
from shared.runtime.tail import DatabaseOlderThanTopic
from shared.settings import ServiceSettings
from tests.model.process import CRASH_POINTS, FAILING, Process, started
from tests.model.world import DECIDED, INPUT, LETTERS, Crash, World, sequence_of

T = TypeVar("T")

TABLES = ("input_position", "output_position", "outbox", "toy")
GOOD, UNDECODABLE, UNHANDLED = "good", "undecodable", "unhandled"
PROCESSES = 2
POLLS = (3, 2000)
"""How much a poll of each may hold: the first often has its next one read ahead, the other takes all there is."""
KINDS = st.lists(st.sampled_from((GOOD, GOOD, GOOD, UNDECODABLE, UNHANDLED)), min_size=1, max_size=6)
BESIDE = 1_000_000
"""Causes of what is emitted beside the stage are numbered from here."""


@dataclass
class Environment:
    """One database and one event loop for all examples."""

    aio: asyncio.AbstractEventLoop
    owner: asyncpg.Connection
    pools: list[asyncpg.Pool]
    settings: ServiceSettings
    keyring: Keyring
    world: World = field(default_factory=World)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.aio.run_until_complete(asyncio.wait_for(work, 20))


class OnePartition(RuleBasedStateMachine):
    env: ClassVar[Environment]

    def __init__(self) -> None:
        super().__init__()
        self.env.run(self.env.owner.execute(f"TRUNCATE {', '.join(TABLES)}"))
        self.env.world = self.world = World()
        self.kinds: list[str] = []
        self.beside: list[int] = []
        self.numbers = count(BESIDE)
        self.lost: set[int] = set()
        self.processes: dict[int, Process] = {}
        self.zombie: tuple[Process, asyncio.Task[int]] | None = None
        self.backup: dict[str, list[asyncpg.Record]] | None = None
        self.passed: set[int] = set()
        self.restart()

    # ---- the world ----

    @rule(kinds=KINDS)
    def feed(self, kinds: list[str]) -> None:
        for kind in kinds:
            sequence = len(self.kinds)
            self.kinds.append(kind)
            subject = FAILING if kind == UNHANDLED else f"r-{sequence:032x}"
            event = example(RecipientRegistered).model_copy(update={"id": f"{sequence:032x}", "subject": subject})
            value = b"{" if kind == UNDECODABLE else encode(event)
            self.world.append(INPUT, subject.encode(), value, headers(sequence))

    @precondition(lambda self: self.kinds)
    @rule(data=st.data())
    def publish_again(self, data: st.DataObject) -> None:
        """A zombie of the stage before publishes rows once more, in order, that are in the topic already."""
        there = sorted({sequence_of(record) for record in self.world.records(INPUT)})
        if not there:
            return
        first = data.draw(st.sampled_from(there))
        for record in [r for r in self.world.records(INPUT) if sequence_of(r) >= first][:4]:
            self.world.append(INPUT, record.key, record.value, record.headers)

    @precondition(lambda self: not self.lost)
    @rule(after=KINDS)
    def lose(self, after: list[str]) -> None:
        """The broker loses an event that no process has read; only what comes after it shows that."""
        position = self.position()
        unread = [r for r in self.world.records(INPUT) if r.offset >= position.offset]
        read_ahead = max(process.consumer.at.get(TopicPartition(INPUT, 0), 0) for process in self.processes.values())
        following = max((sequence_of(r) + 1 for r in unread if r.offset < read_ahead), default=0)
        fresh = [r for r in unread if sequence_of(r) >= max(position.sequence, following)]
        if not fresh or (self.backup and self.backup["input_position"] == []):
            return
        gone = sequence_of(fresh[0])
        if self.read_before(gone):
            return
        self.lost.add(gone)
        log = self.world.topics[INPUT]
        log[:] = [None if r is not None and sequence_of(r) == gone else r for r in log]
        self.feed(after)

    # ---- processes ----

    def restart(self) -> None:
        """All processes are new; each believes that the partition is its own."""
        for slot in range(PROCESSES):
            self.start(slot)

    @rule(slot=st.integers(0, PROCESSES - 1))
    def start(self, slot: int) -> None:
        """The process that was here is gone, without a word."""
        env = self.env
        settings = env.settings.model_copy(update={"batch_messages_max": POLLS[slot]})
        self.processes[slot] = started(self.world, env.pools[slot], settings, env.keyring)

    @rule(slot=st.integers(0, PROCESSES - 1), crash_at=st.none() | st.sampled_from(CRASH_POINTS))
    def take_a_turn(self, slot: int, crash_at: str | None) -> None:
        self.step(slot, crash_at, Process.turn)

    @rule(slot=st.integers(0, PROCESSES - 1), crash_at=st.none() | st.sampled_from(CRASH_POINTS))
    def publish(self, slot: int, crash_at: str | None) -> None:
        self.step(slot, crash_at, Process.publish)

    @rule(slot=st.integers(0, PROCESSES - 1))
    def emit_beside_a_turn(self, slot: int) -> None:
        """An endpoint or a worker of the same process emits in a transaction of its own, at the same time."""
        self.env.run(self._both(self.processes[slot], self.numbered()))

    @rule(slots=st.permutations(range(PROCESSES)))
    def emit_in_turns(self, slots: list[int]) -> None:
        """Endpoints of all processes emit, one after the other, and the last publishes: not its own before theirs."""
        for slot in slots:
            self.env.run(self._emit(self.processes[slot], self.numbered()))
        self.publish(slots[-1], None)

    @rule(slot=st.integers(0, PROCESSES - 1))
    def rebalance(self, slot: int) -> None:
        self.processes[slot].rebalance()

    @rule(slot=st.integers(0, PROCESSES - 1))
    def meet_trouble(self, slot: int) -> None:
        self.processes[slot].handler.trouble = 1

    @precondition(lambda self: self.zombie is None)
    @rule(slot=st.integers(0, PROCESSES - 1))
    def freeze_while_publishing(self, slot: int) -> None:
        """The process stands before its next record batch goes out; others take over."""
        process = self.processes[slot]
        process.fate.gate.clear()
        task = self.env.aio.create_task(process.publish())
        self.env.run(asyncio.sleep(0.005))
        self.zombie = process, task
        self.start(slot)

    @precondition(lambda self: self.zombie is not None)
    @rule()
    def thaw(self) -> None:
        """Its late publications and deletions happen now."""
        assert self.zombie
        process, task = self.zombie
        self.zombie = None
        process.fate.gate.set()
        self.env.run(self._ended(task))

    @precondition(lambda self: self.lost)
    @rule()
    def resume(self) -> None:
        """A person lets the stage go on, where it stands at the gap."""
        if any(Place(INPUT, 0) in process.loop.stopped for process in self.processes.values()):
            self.pass_the_gap()

    # ---- the database ----

    @rule()
    def back_up(self) -> None:
        self.backup = self.env.run(self.dumped())

    @precondition(lambda self: self.backup is not None and self.zombie is None)
    @rule()
    def restore(self) -> None:
        """All processes end. The next one refuses to run if, and only if, a topic knows more than the database."""
        assert self.backup is not None
        present = self.env.run(self.dumped())
        self.env.run(self.load(self.backup))
        following = {row["topic"]: row["next_sequence"] for row in self.backup["output_position"]}
        tails = {topic: self.accepted(topic) for topic in (DECIDED, LETTERS)}
        older = any(len(tails[topic]) > following.get(topic, 0) for topic in tails)
        waiting = [(row["topic"], value) for row in self.backup["outbox"] for _, value in unpack(row["payload"])]
        kept = {*self.answered(DECIDED), *(_answered(*one) for one in waiting)}
        self.restart()
        refused = False
        try:
            self.env.run(self.processes[0].turn())
        except DatabaseOlderThanTopic:
            refused = True
        assert refused == older
        if refused:
            self.env.run(self.load(present))
            self.restart()
        else:
            at = next((row["next_sequence"] for row in self.backup["input_position"] if row["topic"] == INPUT), 0)
            self.passed = {n for n in self.passed if n < at}
            self.beside = [n for n in self.beside if n in kept]  # what only the lost database knew is lost

    # ---- what must be true ----

    @invariant()
    def readers_see_each_answer_once_and_in_order(self) -> None:
        for topic, kinds in ((DECIDED, {GOOD}), (LETTERS, {UNDECODABLE, UNHANDLED})):
            seen = [n for n in self.answered(topic) if n < BESIDE]
            until = min(self.lost - self.passed, default=len(self.kinds))  # it stands there until a person says so
            due = [n for n, kind in enumerate(self.kinds[:until]) if kind in kinds and n not in self.lost]
            assert seen == due[: len(seen)], f"{topic}: {seen}, {due} was due"

    def teardown(self) -> None:
        if self.zombie:
            self.thaw()
        self.restart()
        for _ in range(10 + 2 * len(self.world.topics[INPUT])):
            moved = self.env.run(self.processes[0].turn()) + self.env.run(self.processes[0].publish())
            if Place(INPUT, 0) in self.processes[0].loop.stopped:
                self.pass_the_gap()
            elif not moved:
                break
        self.everything_is_there()

    def everything_is_there(self) -> None:
        self.readers_see_each_answer_once_and_in_order()
        handled = [n for n in range(len(self.kinds)) if n not in self.lost]
        decided = [n for n in handled if self.kinds[n] == GOOD]
        assert sorted(self.answered(DECIDED)) == decided + self.beside
        assert len(self.accepted(LETTERS)) == len(handled) - len(decided)
        rows = self.env.run(self.dumped())
        assert sorted(row["event_id"] for row in rows["toy"]) == [f"{n:032x}" for n in decided]
        assert rows["outbox"] == []
        for row in rows["output_position"]:
            assert (row["next_sequence"], row["digest"]) == self.chain(row["topic"])

    # ---- how it is looked at ----

    def step(self, slot: int, crash_at: str | None, what: Any) -> None:
        process = self.processes[slot]
        process.fate.crash_at = crash_at
        try:
            self.env.run(what(process))
        except Crash:
            self.start(slot)
        else:
            process.fate.crash_at = None

    async def _ended(self, task: "asyncio.Task[int]") -> None:
        await task

    def position(self) -> Position:
        row = self.env.run(
            self.env.owner.fetchrow("SELECT next_offset, next_sequence FROM input_position WHERE topic = $1", INPUT)
        )
        return Position(*row) if row else Position(0, 0)

    def read_before(self, sequence: int) -> bool:
        """Whether the stage has already answered this one (its database was restored since)."""
        return sequence in self.answered(DECIDED if self.kinds[sequence] == GOOD else LETTERS)

    def pass_the_gap(self) -> None:
        stands = self.position()
        ahead = (r for r in self.world.records(INPUT) if r.offset >= stands.offset)
        found = next((r for r in ahead if sequence_of(r) >= stands.sequence), None)
        if found is None or sequence_of(found) == stands.sequence:
            return  # passed already
        goes_on = Position(found.offset, sequence_of(found))
        self.env.run(resume_partition(self.env.owner, Place(INPUT, 0), stands, goes_on, "siti", "lost for good"))
        self.passed |= self.lost

    def numbered(self) -> int:
        """The next cause of what is emitted beside the stage."""
        number = next(self.numbers)
        self.beside.append(number)
        return number

    async def _both(self, process: Process, number: int) -> None:
        await asyncio.gather(process.turn(), self._emit(process, number))

    async def _emit(self, process: Process, number: int) -> None:
        cause = first_cause(f"{number:032x}", "endpoint")
        data, at = example(EligibilityDecided).data, datetime(2026, 11, 25, tzinfo=UTC)
        async with process.loop.turn.outbox.transaction() as transaction:
            await asyncio.sleep(0)
            event = caused_by(cause, "eligibility", data, subject=f"r-{number:032x}", time=at)
            transaction.emit([event])

    def answered(self, topic: str) -> list[int]:
        return [_answered(topic, value) for value in self.accepted(topic)]

    def accepted(self, topic: str) -> list[bytes]:
        """What a reader takes: each sequence once. Fails on a gap."""
        values: list[bytes] = []
        for record in self.world.records(topic):
            sequence = sequence_of(record)
            assert sequence <= len(values), f"{topic}: {sequence} where {len(values)} was expected"
            if sequence == len(values):
                values.append(record.value)
        return values

    def chain(self, topic: str) -> tuple[int, bytes]:
        expected, digest = 0, START
        for record in self.world.records(topic):
            if sequence_of(record) == expected:
                digest = extend(digest, expected, record.key, list(record.headers), record.value)
                expected += 1
        return expected, digest

    async def dumped(self) -> dict[str, list[asyncpg.Record]]:
        async with self.env.owner.transaction(isolation="repeatable_read"):
            return {table: await self.env.owner.fetch(f"SELECT * FROM {table}") for table in TABLES}

    async def load(self, dump: dict[str, list[asyncpg.Record]]) -> None:
        async with self.env.owner.transaction():
            await self.env.owner.execute(f"TRUNCATE {', '.join(TABLES)}")
            for table, rows in dump.items():
                if rows:
                    await self.env.owner.copy_records_to_table(
                        table, records=[tuple(row) for row in rows], columns=list(rows[0].keys())
                    )


def _answered(topic: str, value: bytes) -> int:
    """The input's sequence that this output answers."""
    if topic == DECIDED:
        return int(decode(EligibilityDecided, value).causationid or "", 16)
    return int(decode(DeadLetter, value).data.origin.sequence or 0)

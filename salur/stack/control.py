"""Starting and stopping a stack, for the command line and for tests."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from salur.stack.home import Home
from salur.stack.jars import ensure_jars
from salur.stack.kafka import BROKERS, refuse_other_brokers
from salur.stack.locks import Held, Holder, hold, holder_of
from salur.stack.process import Identity, alive, ended, spawn, stop, tail
from salur.stack.programs import Context
from salur.stack.room import require_room
from salur.stack.state import ProcessState, Record, State, Wanted
from salur.stack.supervisor import strays
from shared.errors import SalurError
from shared.settings import KafkaSettings

CRASHES_MAX = 4
"""A process that ended so often without having been ready will not become so by waiting."""


class Busy(SalurError):
    """Another `up` or `down` works on this stack."""


class NotReady(SalurError):
    """A process of the stack ended again and again, or was not ready in time; the text has the end of its log."""


class CannotScale(SalurError):
    """No such program, or not one of which so many may run."""


class Request(NamedTuple):
    """What the user asked `up` for, on top of what is remembered."""

    scale: Mapping[str, int] = {}
    options: Mapping[str, Mapping[str, str]] = {}
    kafka: str | None = None
    postgres: str | None = None
    keys: str | None = None
    table: str | None = None
    brokers: int | None = None
    kafka_access: Mapping[str, str] = {}

    @classmethod
    def given(
        cls,
        *,
        scale: Mapping[str, int] | None = None,
        options: Mapping[str, Mapping[str, str]] | None = None,
        brokers: int | None = None,
    ) -> "Request":
        """With the Kafka, PostgreSQL and keys that the environment gives in place of the stack's own."""
        kafka, postgres, keys = (os.environ.get(f"SALUR_{name}") for name in ("KAFKA", "POSTGRES", "KEYS"))
        access = KafkaSettings().environment() if kafka else {}
        return cls(scale or {}, options or {}, kafka, postgres, keys, brokers=brokers, kafka_access=access)

    def onto(self, before: Wanted) -> Wanted:
        options = {name: dict(values) for name, values in before.options.items()}
        for name, values in self.options.items():
            options[name] = options.get(name, {}) | dict(values)
        return Wanted(
            revision=before.revision + 1,
            table=self.table or before.table,
            scale=before.scale | dict(self.scale),
            options=options,
            brokers=self.brokers or before.brokers,
            kafka=self.kafka,
            kafka_access=dict(self.kafka_access),
            postgres=self.postgres,
            keys=self.keys,
        )


class Watcher(NamedTuple):
    """How `up` and `down` tell what happens; nothing by default."""

    state: Callable[[State], None] = lambda state: None
    jars: Callable[[int, int], None] = lambda done, total: None


def up(home: Home, request: Request, *, timeout_s: float = 180, watcher: Watcher | None = None) -> bool:
    """Makes the stack what `request` says and waits until every process is ready. False: it was so already.

    When it is interrupted (Ctrl-C, SIGTERM), it stops what it started and raises KeyboardInterrupt. Raises Busy beside
    another `up`, NoRoom, CannotScale, CannotFetch, and NotReady, which leaves running what runs.
    """
    watcher = watcher or Watcher()
    home.make()
    if holder_of(home.supervisor_lock) is None:
        require_room(home.root)
    with _alone(home, "up"), _terminable():
        before = Wanted.load(home.wanted) or Wanted()
        wanted = request.onto(before)
        context = Context(home, wanted)
        _check(context)
        _check_brokers(context, request.brokers)
        if "kafka" in context.programs:
            ensure_jars(watcher.jars)
        _ = context.credentials  # made before several processes need them
        was_up = holder_of(home.supervisor_lock) is not None
        same = wanted.model_copy(update={"revision": before.revision}) == before
        if was_up and same and (State.load(home.state) or State(processes=[Record(name="", instance=0)])).ready():
            return False
        try:
            wanted.save(home.wanted)
            supervisor = _wake_supervisor(home)
            _wait_until_ready(home, wanted, supervisor, timeout_s, watcher)
        except KeyboardInterrupt:
            with _undisturbed():
                if was_up:
                    before.model_copy(update={"revision": wanted.revision + 1}).save(home.wanted)
                    _wake_supervisor(home)
                else:
                    _stop_everything(home, watcher)
            raise
    return True


def down(home: Home, *, watcher: Watcher | None = None) -> list[str]:
    """Stops what `up` started, services first, and returns their names; also when the supervisor is dead.

    An `up` that is at work is interrupted first. Raises Busy when another `down` takes longer than a minute.
    """
    if not home.root.is_dir():
        return []
    holder = holder_of(home.stack_lock)
    if holder and holder.doing == "up" and holder.pid:
        os.kill(holder.pid, signal.SIGTERM)
    with _alone(home, "down", wait_s=60), _undisturbed():
        return _stop_everything(home, watcher or Watcher())


def _check(context: Context) -> None:
    for name, count in context.wanted.scale.items():
        program = context.programs.get(name)
        if program is None or not program.scalable:
            names = ", ".join(p.name for p in context.programs.values() if p.scalable)
            raise CannotScale(f"{name} cannot be scaled", hint=f"these can: {names}")
        if not 0 <= count <= 64:
            raise CannotScale(f"{name}={count}: between 0 and 64 instances are possible")
    for name in context.wanted.options:
        if name not in context.programs:
            raise CannotScale(f"there is no program {name}", hint=f"there are {', '.join(context.programs)}")


def _check_brokers(context: Context, asked: int | None) -> None:
    if asked and context.wanted.kafka:
        raise CannotScale(
            f"--brokers {asked} is for a stack's own Kafka, and SALUR_KAFKA names another",
            hint="leave one of them out",
        )
    if context.wanted.brokers not in BROKERS:
        raise CannotScale(
            f"{context.wanted.brokers} brokers: a stack has 1 or 3", hint="of two brokers none could be lost"
        )
    if "kafka" in context.programs:
        refuse_other_brokers(context.home, context.wanted.brokers)


@contextmanager
def _alone(home: Home, doing: str, *, wait_s: float = 0) -> Iterator[None]:
    try:
        with hold(home.stack_lock, doing, wait_s=wait_s):
            yield
    except Held as error:
        who = error.holder
        raise Busy(
            f"`salur {who.doing}` (process {who.pid}) is at work on {home.root}; nothing was changed",
            hint="`salur status` shows how far it is",
        ) from None


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM acts like Ctrl-C within the block."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not interrupt the stopping."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wake_supervisor(home: Home) -> subprocess.Popen[bytes] | None:
    """Tells the living supervisor to look at `wanted.json`, or starts one and returns it."""
    holder = holder_of(home.supervisor_lock)
    if holder and holder.pid:
        os.kill(holder.pid, signal.SIGHUP)
        return None
    argv = (sys.executable, "-m", "salur.stack.supervisor", str(home.root))
    return spawn(argv, env=os.environ, cwd=Path.cwd(), log=_supervisor_log(home))


def _supervisor_log(home: Home) -> Path:
    return home.logs / "supervisor.log"


def _wait_until_ready(
    home: Home, wanted: Wanted, supervisor: subprocess.Popen[bytes] | None, timeout_s: float, watcher: Watcher
) -> None:
    until = time.monotonic() + timeout_s
    while True:
        if supervisor and supervisor.poll() is not None:
            raise NotReady(_end_of_log("the supervisor ended", _supervisor_log(home)))
        state = State.load(home.state)
        if state and state.revision == wanted.revision:
            watcher.state(state)
            if state.ready():
                return
            for record in state.processes:
                if record.crashes >= CRASHES_MAX and record.state != ProcessState.READY:
                    what = f"{record.name}-{record.instance} {record.failure} {record.crashes} times"
                    raise NotReady(_end_of_log(what, home.log_of(record.name, record.instance)))
            if time.monotonic() > until:
                raise NotReady(_late(home, state, timeout_s))
        elif time.monotonic() > until:
            raise NotReady(_end_of_log("the supervisor does not answer", _supervisor_log(home)))
        time.sleep(0.1)


def _late(home: Home, state: State, timeout_s: float) -> str:
    """Names who is not ready; the log shown is of the first that does not merely wait for another."""
    late = [record for record in state.processes if record.state != ProcessState.READY]
    first = next((record for record in late if record.state != ProcessState.WAITING), late[0])
    names = ", ".join(f"{record.name}-{record.instance} ({record.state})" for record in late)
    return _end_of_log(
        f"not ready after {timeout_s:.0f} s: {names}; {first.failure or ''}", home.log_of(first.name, first.instance)
    )


def _end_of_log(what: str, log: Path) -> str:
    return f"{what}\nthe end of {log}:\n" + "\n".join(tail(log))


def _stop_everything(home: Home, watcher: Watcher) -> list[str]:
    """With the stack's lock held. One way, whether or not the supervisor lives: it leaves first, then all others."""
    _end_supervisor(home)
    state = State.load(home.state) or State()
    stopped = []
    running = sorted((r for r in state.processes if alive(r.identity)), key=lambda record: record.stop_rank)
    with ThreadPoolExecutor(32) as pool:
        for _, group in groupby(running, key=lambda record: record.stop_rank):
            records = list(group)
            for record in records:
                record.state = ProcessState.STOPPING
            watcher.state(state)
            list(pool.map(Record.end, records))
            state.processes = [record for record in state.processes if record not in records]
            state.save(home.state)
            stopped += [f"{record.name}-{record.instance}" for record in records]
    for identity in strays(Context(home, Wanted.load(home.wanted) or Wanted()), {os.getpid(), os.getppid()}):
        stop(identity, first=signal.SIGINT)
        stopped.append(f"process {identity.pid}")
    state.processes = []
    state.save(home.state)
    watcher.state(state)
    return stopped


def _end_supervisor(home: Home) -> None:
    holder: Holder | None = holder_of(home.supervisor_lock)
    while holder and not holder.pid:  # it has just taken its lock
        time.sleep(0.05)
        holder = holder_of(home.supervisor_lock)
    if holder and (identity := Identity.of(holder.pid)) and not stop(identity, grace_s=5):
        ended(identity, 5)

"""The process that keeps a stack running: `python -m salur.stack.supervisor HOME`, detached from who started it.

It makes the processes what `wanted.json` says, writes what is into `state.json`, and takes up a changed `wanted.json`
on SIGHUP. On SIGTERM it leaves and lets its processes go on, as they do when it is killed: ending them is what `down`
does, in one way for both cases. A new supervisor adopts them.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from salur.stack.home import Home, read_json
from salur.stack.keeper import Keeper
from salur.stack.locks import Held, hold
from salur.stack.postgres import without_password
from salur.stack.process import Identity, alive, descends_from, mark, marked, stop
from salur.stack.programs import Context, Program
from salur.stack.state import ProcessState, Record, State, Wanted

Key = tuple[str, int]


class Supervisor:
    """Lives in one event loop; slow things (probes, preparing, ending) happen in threads."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.state = State()
        self._context = Context(home, Wanted())
        self._keepers: dict[Key, tuple[Keeper, asyncio.Task[None]]] = {}
        self._retired: list[Record] = []
        self._retiring: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(32)
        self._stirred = asyncio.Event()
        self._leaving = False
        self._places: tuple[object, ...] = ()

    async def run(self) -> None:
        """Returns after SIGTERM."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._stirred.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave)
        known = {(record.name, record.instance): record for record in self._last_records()}
        await self._in_thread(self._end_strays, known)
        while not self._leaving:
            self._stirred.clear()
            await self._reconcile(known)
            await self._stirred.wait()
        for _, task in self._keepers.values():
            task.cancel()

    def _wanted_context(self) -> Context:
        return Context(self.home, Wanted.load(self.home.wanted) or Wanted())

    def _leave(self) -> None:
        self._leaving = True
        self._stirred.set()

    def _last_records(self) -> list[Record]:
        state = State.load(self.home.state)
        return [record for record in state.processes if alive(record.identity)] if state else []

    def _end_strays(self, known: dict[Key, Record]) -> None:
        """Ends what an earlier supervisor had started and could not write down any more."""
        pids = {record.pid for record in known.values() if record.pid} | {os.getpid()}
        for identity in strays(self._wanted_context(), pids):
            stop(identity, first=signal.SIGINT)

    async def _reconcile(self, known: dict[Key, Record]) -> None:
        """Starts, replaces and ends what differs from `wanted.json`. `known` are processes not yet taken up."""
        self._context = self._wanted_context()
        wanted, programs = self._context.wanted, self._context.programs
        keys = [
            (name, instance)
            for name, program in programs.items()
            for instance in range(self._context.instances(program))
        ]
        for key in [key for key in self._keepers if key not in keys]:
            keeper, task = self._keepers.pop(key)
            self._retire(keeper.record, task)
        for key in keys:
            if key in self._keepers:
                await self._renew(key, programs[key[0]], asked=wanted.revision != self.state.revision)
            else:
                record = known.pop(key) if key in known else self._record(programs[key[0]], key[1])
                self._keep(programs[key[0]], record)
        for record in known.values():  # they run, but are not wanted any more
            self._retire(record)
        known.clear()
        self.state.revision = wanted.revision
        self._save()

    async def _renew(self, key: Key, program: Program, *, asked: bool) -> None:
        """Replaces a process that should be another one now; when a user asked, who waits to be restarted is tried
        at once.
        """
        keeper, task = self._keepers[key]
        keeper.context, record = self._context, keeper.record
        changed = bool(record.fingerprint) and record.fingerprint != keeper.fingerprint()
        impatient = asked and record.state == ProcessState.RESTARTING
        if changed or impatient:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            record.state, record.crashes, record.failure = ProcessState.WAITING, 0, None
            self._keep(program, record)

    def _keep(self, program: Program, record: Record) -> None:
        keeper = self._keeper(program, record)
        task = asyncio.create_task(keeper.run(), name=f"{record.name}-{record.instance}")
        task.add_done_callback(self._fail_loudly)
        self._keepers[record.name, record.instance] = (keeper, task)

    def _retire(self, record: Record, task: asyncio.Task[None] | None = None) -> None:
        async def retire() -> None:
            if task:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            record.state = ProcessState.STOPPING
            self._save()
            await self._in_thread(record.end)
            self._retired.remove(record)
            self._save()

        self._retired.append(record)
        ending = asyncio.create_task(retire())
        self._retiring.add(ending)
        ending.add_done_callback(self._retiring.discard)

    def _keeper(self, program: Program, record: Record) -> Keeper:
        return Keeper(
            program, record, self._context, changed=self._save, available=self._available, in_thread=self._in_thread
        )

    @staticmethod
    def _record(program: Program, instance: int) -> Record:
        return Record(
            name=program.name,
            instance=instance,
            version=program.version,
            stop_rank=program.stop_rank,
            stop_signal=program.stop_signal,
            grace_s=program.grace_s,
        )

    def _available(self, name: str) -> bool:
        """Whether the program can be depended on: all of it at first, then most of it while one is restarted."""
        states = [keeper.record.state for (n, _), (keeper, _) in self._keepers.items() if n == name]
        most = states.count(ProcessState.READY) * 2 > len(states)
        return most and not {ProcessState.WAITING, ProcessState.STARTING} & set(states)

    def _save(self) -> None:
        self.state.kafka, postgres = self._context.addresses()
        self.state.postgres = without_password(postgres) if postgres else None
        self.state.processes = [keeper.record for keeper, _ in self._keepers.values()] + self._retired
        self.state.save(self.home.state)
        places = (self._context.addresses(), read_json(self.home.ports))
        if places != self._places:  # a port was taken by somebody else: who is told about it must be replaced
            self._places = places
            self._stirred.set()

    def _in_thread(self, function: Callable[..., object], *arguments: object) -> Awaitable[object]:
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def _fail_loudly(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            asyncio.get_running_loop().call_exception_handler({"message": task.get_name(), "exception": error})


def strays(context: Context, pids: set[int]) -> list[Identity]:
    """Processes of this stack beside `pids` and their children."""
    found = [identity for identity, _ in marked(context.home.root)]
    for program in context.programs.values():
        each = [program.running(context, instance) for instance in range(context.instances(program)) if program.running]
        found += [identity for identity in each if identity]
    return [identity for identity in found if not descends_from(identity.pid, pids)]


def main(home: Home) -> int:
    os.environ.update(mark("supervisor-0", home.root))
    try:
        with hold(home.supervisor_lock, "supervising", wait_s=5):
            asyncio.run(Supervisor(home).run())
            sys.stdout.flush()
            os._exit(0)  # not waiting for threads: what they prepare is repeated by the next supervisor
    except Held as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(Home.at(sys.argv[1])))

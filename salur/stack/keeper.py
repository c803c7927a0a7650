"""Keeps one instance of one program running: starts it, watches it, starts it again when it ends by itself."""

import asyncio
import os
import random
import signal
import subprocess
from collections.abc import Awaitable, Callable

from salur.stack.process import Identity, alive, mark, spawn
from salur.stack.programs import Context, Launch, Program
from salur.stack.state import ProcessState, Record, fingerprint
from shared import clock
from shared.errors import SalurError

_BACKOFF_FIRST_S = 0.3
_HEALTHY_S = 30.0
"""Who has been ready for so long has recovered: the next crash starts the back-off anew."""
_LOOK_S, _CHECK_S = 0.15, 3.0
_MISSED_CHECKS_MAX = 3


def backoff_s(crashes: int, max_s: float) -> float:
    """How long to wait after so many crashes in a row: doubled each time, at most `max_s`, with jitter."""
    assert crashes >= 1
    full_s: float = min(max_s, _BACKOFF_FIRST_S * 2 ** min(crashes - 1, 10))
    return full_s * random.uniform(0.5, 1)  # noqa: S311


class Keeper:
    """`run` goes on until it is cancelled, which leaves the process alone.

    `changed` is called whenever `record` has changed, `available` says whether all instances of a program are ready.
    """

    def __init__(
        self,
        program: Program,
        record: Record,
        context: Context,
        *,
        changed: Callable[[], None],
        available: Callable[[str], bool],
        in_thread: Callable[..., Awaitable[object]],
    ) -> None:
        self.program = program
        self.record = record
        self.context = context
        self._changed = changed
        self._available = available
        self._in_thread = in_thread
        self._child: subprocess.Popen[bytes] | None = None

    async def run(self) -> None:
        """Adopts the recorded process when it still runs and is what is wanted now, else replaces it."""
        if alive(self.record.identity) and self.record.fingerprint != self.fingerprint():
            await self._in_thread(self.record.end)
        while True:
            if not alive(self.record.identity):
                await self._wait_for_dependencies()
                failure = await self._start()
            else:
                failure = None
            if failure is None:
                failure = await self._watch()
            await self._pause(failure)

    def fingerprint(self) -> str:
        launch = self._launch()
        return fingerprint(launch.argv, launch.env)

    def _launch(self) -> Launch:
        return self.program.launch(self.context, self.record.instance)

    async def _wait_for_dependencies(self) -> None:
        if self.record.restarts == 0:
            self._set(ProcessState.WAITING)
        needed = [name for name in self.program.depends_on if name in self.context.programs]
        while not all(map(self._available, needed)):  # noqa: ASYNC110 - no event: those can end again meanwhile
            await asyncio.sleep(_LOOK_S)

    async def _start(self) -> str | None:
        """Starts the process and writes it down; returns why that was not possible."""
        record, program = self.record, self.program
        if record.state == ProcessState.WAITING:
            self._set(ProcessState.STARTING)
        try:
            await self._in_thread(program.prepare, self.context, record.instance)
            launch = self._launch()
            name = f"{record.name}-{record.instance}"
            self._child = spawn(
                launch.argv,
                env={**os.environ, **launch.env, **mark(name, self.context.home.root)},
                cwd=launch.cwd,
                log=self.context.home.log_of(record.name, record.instance),
            )
        except (SalurError, OSError) as error:
            return f"cannot start: {error}"
        identity = Identity.of(self._child.pid)
        record.pid, record.created_s = identity or (None, None)
        record.port, record.since = launch.port, clock.now()
        record.fingerprint = fingerprint(launch.argv, launch.env)
        self._changed()
        return None

    async def _watch(self) -> str:
        """Returns, when the process has ended, in which way it did."""
        missed = 0
        loop = asyncio.get_running_loop()
        check_at, ready_since = loop.time(), None
        while alive(self.record.identity):
            now = loop.time()
            if self.record.crashes and ready_since and now - ready_since > _HEALTHY_S:
                self.record.crashes = 0
                self._changed()
            if now >= check_at:
                if await self._in_thread(self.program.ready, self.context, self.record.instance):
                    missed, ready_since = 0, ready_since or loop.time()
                    self._set(ProcessState.READY)
                else:
                    missed += 1
                    if self.record.state == ProcessState.READY and missed >= _MISSED_CHECKS_MAX:
                        self._set(ProcessState.UNREADY)
                settled = self.record.state == ProcessState.READY and not missed
                check_at = loop.time() + (_CHECK_S if settled else _LOOK_S)
            await asyncio.sleep(_LOOK_S)
        code = self._child.poll() if self._child else None
        self._child = None
        if code is None:
            return "ended"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def _pause(self, failure: str) -> None:
        record = self.record
        record.restarts += 1
        record.crashes += 1
        record.pid = record.created_s = None
        record.failure = failure
        self._set(ProcessState.RESTARTING)
        await asyncio.sleep(backoff_s(record.crashes, self.program.backoff_max_s))

    def _set(self, state: ProcessState) -> None:
        if self.record.state != state:
            self.record.state = state
            self._changed()

"""Does what a fault says, and undoes it when its time is over."""

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final

import orjson

from salur.chaos.aim import WITHIN_S, Aim, moment
from salur.chaos.faults import Fault, Kind
from salur.chaos.feed import Feed
from salur.chaos.proxy import CALM, Proxies, Weather
from salur.inside.connect import Settings
from salur.stack.home import Home
from salur.stack.process import Identity, alive
from salur.stack.state import State
from shared.clock import now

ALIVE_WITHIN_S: Final = 40.0
"""A victim that is being restarted is waited for, longer than the supervisor's longest pause."""
AT_ONCE_MAX: Final = 6
"""Faults that last at the same moment: more of them, and nothing would move between them."""
_LOOK_S: Final = 0.1


@dataclass(slots=True)
class FaultLog:
    """Every fault with when it began, what was done and when it ended, as JSON lines in a file."""

    path: Path
    lines: list[dict[str, Any]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    missed: int = 0

    def write(self, fault: Fault, began: datetime, outcome: str, *, happened: bool, **more: Any) -> None:
        line = {
            "number": fault.number,
            "at": began.isoformat(timespec="milliseconds"),
            "until": now().isoformat(timespec="milliseconds"),
            "kind": fault.kind,
            "victim": fault.victim,
            "outcome": outcome,
            **{name: value for name in ("for_s", "delay_s", "amount") if (value := getattr(fault, name))},
            **({"aim": fault.aim} if fault.aim != Aim.ANY else {}),
            **more,
        }
        self.lines.append(line)
        with self.path.open("ab") as file:
            file.write(orjson.dumps(line) + b"\n")
        if happened:
            self.done[fault.kind] += 1
        else:
            self.missed += 1


@dataclass(slots=True)
class Injector:
    """Injects faults beside each other. `calm` at the end, whatever happened."""

    home: Home
    settings: Settings
    proxies: Proxies
    feed: Feed
    log: FaultLog
    _on: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _paused: set[Identity] = field(default_factory=set)

    async def begin(self, fault: Fault) -> None:
        """Returns once the fault has begun or is about to; who suffers from one already is waited for."""
        while True:
            running = {victim: task for victim, task in self._on.items() if not task.done()}
            if len(running) < AT_ONCE_MAX and fault.victim not in running:
                break
            await asyncio.wait(running.values(), return_when=asyncio.FIRST_COMPLETED)
        self._raise_failures()
        self._on[fault.victim] = asyncio.create_task(self._inject(fault))

    async def ended(self) -> None:
        """Returns when every fault is over."""
        await asyncio.gather(*self._on.values())

    def calm(self) -> None:
        """Nothing is disturbed any more."""
        for task in self._on.values():
            task.cancel()
        for identity in self._paused:
            _signal(identity, signal.SIGCONT)
        self.proxies.calm()

    def _raise_failures(self) -> None:
        for task in self._on.values():
            if task.done() and not task.cancelled():
                task.result()

    async def _inject(self, fault: Fault) -> None:
        began = now()
        match fault.kind:
            case Kind.PAUSE:
                await self._pause(fault, began)
            case Kind.SLOW | Kind.CUT | Kind.SILENCE:
                await self._disturb(fault, began)
            case Kind.POISON:
                names = Counter(poison.name for poison in self.feed.poisoned(fault.amount))
                self.log.write(fault, began, "handed to the broker", happened=True, poison=names)
            case Kind.REPEAT:
                rows = self.feed.repeat(fault.number, fault.amount)
                outcome = "handed to the broker" if rows else "nothing was sent yet"
                self.log.write(fault, began, outcome, happened=rows > 0, rows=rows)
            case _:
                await self._kill(fault, began)

    async def _kill(self, fault: Fault, began: datetime) -> None:
        victim = await self._victim(fault.victim)
        hit = await moment(self.settings, fault.victim, fault.aim)
        killed = victim is not None and _signal(victim, signal.SIGKILL)
        pid = victim.pid if victim else None
        self.log.write(fault, began, "killed" if killed else "was not running", happened=killed, pid=pid, hit=hit)

    async def _pause(self, fault: Fault, began: datetime) -> None:
        victim = await self._victim(fault.victim)
        hit = await moment(self.settings, fault.victim, fault.aim)
        if victim is None or not _signal(victim, signal.SIGSTOP):
            self.log.write(fault, began, "was not running", happened=False)
            return
        self._paused.add(victim)
        try:
            await asyncio.sleep(fault.for_s)
        finally:
            woken = _signal(victim, signal.SIGCONT)
            self._paused.discard(victim)
        outcome = "paused and woken" if woken else "paused, and ended while it was"
        self.log.write(fault, began, outcome, happened=True, pid=victim.pid, hit=hit)

    async def _disturb(self, fault: Fault, began: datetime) -> None:
        await self._connected(fault.victim)
        weather = Weather(fault.delay_s, silent=fault.kind == Kind.SILENCE, cut=fault.kind == Kind.CUT)
        await asyncio.to_thread(self.proxies.change, fault.victim, weather)
        try:
            await asyncio.sleep(fault.for_s)
        finally:
            await asyncio.to_thread(self.proxies.change, fault.victim, CALM)
        self.log.write(fault, began, "disturbed", happened=True)

    async def _connected(self, line: str) -> None:
        """A disturbed line over which nobody talks proves little; waited for as every other aim."""
        until = monotonic() + WITHIN_S
        while monotonic() < until:
            if self.proxies.carries(line):
                return
            await asyncio.sleep(_LOOK_S)

    async def _victim(self, name: str) -> Identity | None:
        """The process, as soon as it runs; None when it does not come back."""
        until = monotonic() + ALIVE_WITHIN_S
        while monotonic() < until:
            if identity := running(self.home, name):
                return identity
            await asyncio.sleep(_LOOK_S)
        return None


def running(home: Home, name: str) -> Identity | None:
    """The process `service-instance` of the stack, if it runs now."""
    state = State.load(home.state)
    for record in state.processes if state else ():
        if f"{record.name}-{record.instance}" == name and alive(record.identity):
            return record.identity
    return None


def _signal(identity: Identity, number: signal.Signals) -> bool:
    """To exactly this process; False when it is gone."""
    if not alive(identity):
        return False
    try:
        os.kill(identity.pid, number)
    except ProcessLookupError:
        return False
    return True

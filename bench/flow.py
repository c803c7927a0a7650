"""How fast the whole flow is: `python -m bench.flow [FAMILIES]`, on a stack of its own in a temporary folder.

Submissions are sealed and published beforehand, the registry is started last, and the clock runs from the first
registration until 99 % of the payouts that the open cycles pay are confirmed. Messages drain afterwards, at their own
pace. CPU is that of every process, between those two moments. A figure means something only beside others of the same
run on an otherwise idle machine.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from salur.demo import cycles
from salur.demo.counts import Flow
from salur.inside.connect import Settings, consumer, resolve
from salur.intake import Options, find_kafka, find_upstream, submit
from salur.intake.kinds import FLAGS, REGISTRATIONS, Kind
from salur.population import generate
from salur.stack.control import Request, down, up
from salur.stack.home import Home
from salur.stack.state import State
from shared.clock import now

FAMILIES = 20_000
SEED = 2026
LOOK_EVERY_S = 0.5
DEADLINE_S = 1800
CALM_LOOKS = 6
OUTCOMES = ("payout.confirmed", "payout.failed", "payout.cancelled")
BANK = {"delayed": "0", "timeout": "0", "late": "0", "cut": "0"}
"""The bank answers at once, in bulk; what it refuses it refuses."""

console = Console()


@dataclass(slots=True)
class Meter:
    """CPU seconds and the most memory of each process since it was made."""

    home: Home
    before: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before = self._cpu()

    def _cpu(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for record in (State.load(self.home.state) or State()).processes:
            if record.pid is None:
                continue
            with suppress(psutil.NoSuchProcess):
                main = psutil.Process(record.pid)
                ended = main.cpu_times()
                name = f"{record.name}-{record.instance}"
                self.memory[name] = max(self.memory.get(name, 0), main.memory_info().rss)
                spent = ended.user + ended.system + ended.children_user + ended.children_system
                for child in main.children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        times = child.cpu_times()
                        spent += times.user + times.system
                found[name] = spent
        return found

    def look(self) -> None:
        self._cpu()

    def spent(self) -> dict[str, float]:
        return {name: cpu - self.before.get(name, 0.0) for name, cpu in self._cpu().items()}


def stack(home: Home, **scale: int) -> None:
    options = {"bank": {"seed": str(SEED), **BANK}, "carrier": {"seed": str(SEED), "rate": "100000"}}
    up(home, Request.given(scale=scale, options=options))


async def send(home: Home, file: Path, kind: Kind, *, wait: bool) -> int:
    summary = await submit(file, kind, find_upstream(home, "polman"), find_kafka(home), Options(wait=wait))
    console.print(f"{file.name}: {summary.sent:,} sealed and published at {summary.rows_per_second:,.0f}/s")
    return summary.sent


async def measure(home: Home, settings: Settings, folder: Path, families: int) -> dict[str, object]:
    stack(home)
    await send(home, folder / "flags.csv", FLAGS, wait=True)
    today = now().date()
    for cycle in cycles.CYCLES:
        planned = await asyncio.to_thread(cycles.propose, cycle, families, today)
        if not cycle.ranked:
            await asyncio.to_thread(cycles.approve, planned)
    stack(home, registry=0, notify=0)
    await send(home, folder / "registrations.csv", REGISTRATIONS, wait=False)
    async with consumer(settings) as client:
        flow = Flow(settings, client)
        meter = Meter(home)
        stack(home, registry=1)
        result = await paid(flow, meter)
        show(meter, result)
        meter = Meter(home)
        stack(home, notify=1)
        result["messages"] = await told(flow)
        show(meter, result)
    return result


async def paid(flow: Flow, meter: Meter) -> dict[str, object]:
    """Until nothing is behind and every payout has its outcome; the rate is of the recipients registered."""
    began: float | None = None
    curve: list[tuple[float, dict[str, int]]] = []
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        at, events = time.perf_counter(), await flow.events()
        if began is None and events["recipient.registered"]:
            began = at - LOOK_EVERY_S / 2
        if began is not None:
            curve.append((at - began, events))
            meter.look()
            ordered, ended = events["payout.ordered"], sum(events[topic] for topic in OUTCOMES)
            still = len(curve) > CALM_LOOKS and curve[-CALM_LOOKS][1] == events
            if still and ordered and ended >= ordered:
                break
        await asyncio.sleep(LOOK_EVERY_S)
    return rates(curve)


def rates(curve: list[tuple[float, dict[str, int]]]) -> dict[str, object]:
    last = curve[-1][1]
    done: dict[str, object] = {}
    for topic in ("recipient.registered", "eligibility.decided", "payout.ordered", "payout.confirmed"):
        reached = next((at for at, events in curve if events[topic] >= 0.99 * last[topic]), None)
        best = max(
            (
                (later[topic] - events[topic]) / (then - at)
                for (at, events), (then, later) in zip(curve, curve[10:], strict=False)
            ),
            default=0.0,
        )
        done[topic] = {"events": last[topic], "s_to_99_percent": reached, "best_5_s_per_s": round(best)}
    confirmed_s = done["payout.confirmed"]["s_to_99_percent"]  # type: ignore[index]
    done["recipients_per_s"] = round(0.99 * last["recipient.registered"] / confirmed_s)
    done["recipients"] = last["recipient.registered"]
    return done


async def told(flow: Flow) -> dict[str, object]:
    began, until = time.perf_counter(), time.monotonic() + DEADLINE_S
    first: float | None = None
    while time.monotonic() < until:
        events = await flow.events()
        sent = events["notification.sent"] + events["notification.unknown"] + events["notification.failed"]
        if first is None and sent:
            first = time.perf_counter()
        if sent and await flow.behind() == 0 and await flow.finished():
            break
        await asyncio.sleep(LOOK_EVERY_S)
    seconds = time.perf_counter() - (first or began)
    return {"messages": sent, "seconds": round(seconds, 1), "per_s": round(sent / seconds)}


def show(meter: Meter, result: dict[str, object]) -> None:
    recipients = int(str(result["recipients"]))
    table = Table("process", "CPU s", "µs a recipient", "most memory", box=None)
    for name, cpu in sorted(meter.spent().items(), key=lambda one: -one[1]):
        table.add_row(name, f"{cpu:.1f}", f"{cpu / recipients * 1e6:,.0f}", f"{meter.memory[name] / 1e6:.0f} MB")
    console.print(table)
    console.print_json(json.dumps(result))


def main() -> int:
    families = int(sys.argv[1]) if len(sys.argv) > 1 else FAMILIES
    for name in [name for name in os.environ if name.startswith("SALUR_")]:
        del os.environ[name]  # a stack of its own
    with tempfile.TemporaryDirectory(prefix="salur-bench-") as folder:
        home = Home.at(Path(folder) / "home")
        os.environ["SALUR_HOME"] = str(home.root)
        population = Path(folder) / "population"
        population.mkdir()
        generate(population, families, SEED)
        try:
            up(home, Request.given())
            asyncio.run(measure(home, resolve(home.root), population, families))
        finally:
            down(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())

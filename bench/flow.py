"""How fast the whole flow is: `python -m bench.flow [FAMILIES]`, on stacks of its own in temporary folders.

1. Steady: registrations come at given rates; how long until each payout is confirmed.
2. At once: submissions are sealed and published beforehand, the registry is started last, and the clock runs from the
   first registration until 99 % of the payouts that the open cycles pay are confirmed.
3. Messages drain behind, at their own pace; so would pages and the monitor's windows, which are not measured here.

CPU is that of every process, between two moments. With `--filled N` all of it is done twice: on empty tables, and on
tables that hold N recipients already. A figure means something only beside others of the same run on an otherwise idle
machine.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import flames, steady
from bench.filled import fill
from bench.meter import Meter
from salur.demo import cycles
from salur.demo.counts import Flow
from salur.inside.connect import Settings, consumer, resolve
from salur.intake import Options, find_kafka, find_upstream, submit
from salur.intake.kinds import FLAGS, REGISTRATIONS, Kind
from salur.population import generate, reference_on
from salur.stack.control import Request, down, up
from salur.stack.home import Home
from salur.stack.lag import lags
from salur.stack.programs import FLOW_TABLE
from shared.clock import now

FAMILIES = 100_000
SEED = 2026
RATES = (200, 500)
STEADY_S = 40
WARM_UP_ROWS = 2_000
LOOK_EVERY_S = 0.5
DEADLINE_S = 1800
CALM_LOOKS = 6
OUTCOMES = ("payout.confirmed", "payout.failed", "payout.cancelled")
BANK = {"delayed": "0", "timeout": "0", "late": "0", "cut": "0"}
"""The bank answers at once, in bulk; what it refuses it refuses."""
BEHIND = {"notify": 0, "portal": 0}
"""Who tells reads behind the money: it is started last. The portal never is, and the stack has no monitor."""

console = Console()


def stack(home: Home, **scale: int) -> None:
    options = {"bank": {"seed": str(SEED), **BANK}, "carrier": {"seed": str(SEED), "rate": "100000"}}
    up(home, Request.given(scale=scale, options=options)._replace(table=FLOW_TABLE))


async def send(home: Home, file: Path, kind: Kind, *, wait: bool) -> int:
    summary = await submit(file, kind, find_upstream(home, "polman"), find_kafka(home), Options(wait=wait))
    console.print(f"{file.name}: {summary.sent:,} sealed and published at {summary.rows_per_second:,.0f}/s")
    return summary.sent


async def measure(
    home: Home, settings: Settings, folder: Path, given: argparse.Namespace, filled: int
) -> dict[str, Any]:
    """One stack from nothing: rates, CPU in µs a recipient, and latencies."""
    result: dict[str, Any] = {"filled": filled}
    stack(home)
    await send(home, folder / "flags.csv", FLAGS, wait=True)
    today = now().date()
    for cycle in cycles.CYCLES:
        planned = await asyncio.to_thread(cycles.propose, home, cycle, given.families, today)
        if not cycle.ranked:
            await asyncio.to_thread(cycles.approve, home, planned)
    files = iter(parts(folder / "registrations.csv", [WARM_UP_ROWS, *(rate * STEADY_S for rate in given.rates)]))
    await send(home, next(files), REGISTRATIONS, wait=True)
    if filled:
        await fill(settings, filled, lambda service, rows: console.print(f"filled: {service} {rows:,}", style="dim"))
    stack(home, **BEHIND)
    async with consumer(settings) as client:
        flow = Flow(settings, client)
        result["steady"] = [await steadily(flow, home, next(files), rate) for rate in given.rates]
        stack(home, registry=0)
        await send(home, next(files), REGISTRATIONS, wait=False)
        meter = Meter(home)
        before = await flow.events()
        stack(home, registry=1)
        with flames.drawn(home, given.flames):
            result |= await paid(flow, meter, before)
        console.print(f"{result['recipients_per_s']:,} recipients/s registered → confirmed")
        result |= kept(meter, result["recipients"])
        meter = Meter(home)
        stack(home, notify=1)
        result["messages"] = await told(flow)
        result["messages"] |= kept(meter, result["messages"]["messages"])
    console.print_json(json.dumps(result))
    return result


def parts(file: Path, sizes: Sequence[int]) -> Iterator[Path]:
    """The rows of a file in files of these sizes, and what is left in one more."""
    with file.open() as rows:
        head = next(rows)
        for number, size in enumerate([*sizes, sys.maxsize]):
            part = file.with_name(f"part{number}.csv")
            with part.open("w") as written:
                written.write(head)
                written.writelines(islice(rows, size))
            yield part


def kept(meter: Meter, recipients: int) -> dict[str, Any]:
    console.print(meter.table(recipients))
    memory_mb = {name: round(used / 1e6) for name, used in meter.memory.items()}
    return {"cpu_us": meter.spent_us(recipients), "memory_mb": memory_mb, "stolen_percent": meter.stolen_percent()}


async def steadily(flow: Flow, home: Home, file: Path, rate: int) -> dict[str, Any]:
    topic, ready = await steady.sealed(home, file)
    meter = Meter(home)
    took = await steady.paced(home, topic, ready, rate)
    meter.look()
    curve: list[tuple[float, dict[str, int]]] = []
    while not at_rest(curve):
        curve.append((0.0, await flow.events()))
        await asyncio.sleep(LOOK_EVERY_S)
    found = await steady.waited(flow.settings, topic, ready, rate, took)
    console.print(f"at {rate}/s: {found.registered_to_confirmed} ms registered → confirmed")
    return found._asdict() | kept(meter, found.registered)


async def paid(flow: Flow, meter: Meter, before: dict[str, int]) -> dict[str, Any]:
    """Until nothing is behind and every payout has its outcome; the rate is of the recipients registered."""
    began: float | None = None
    curve: list[tuple[float, dict[str, int]]] = []
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        at, events = time.perf_counter(), await news(flow, before)
        if began is None and events["recipient.registered"]:
            began = at - LOOK_EVERY_S / 2
        if began is not None:
            curve.append((at - began, events))
            meter.look()
            ordered, ended = events["payout.ordered"], sum(events[topic] for topic in OUTCOMES)
            if at_rest(curve) and ordered and ended >= ordered:
                break
        await asyncio.sleep(LOOK_EVERY_S)
    return rates(curve)


async def news(flow: Flow, before: dict[str, int]) -> dict[str, int]:
    return {topic: count - before[topic] for topic, count in (await flow.events()).items()}


def at_rest(curve: Sequence[tuple[float, dict[str, int]]]) -> bool:
    return len(curve) > CALM_LOOKS and curve[-CALM_LOOKS][1] == curve[-1][1]


def rates(curve: Sequence[tuple[float, dict[str, int]]]) -> dict[str, Any]:
    last = curve[-1][1]
    done: dict[str, Any] = {}
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
    done["recipients"] = last["recipient.registered"]
    done["recipients_per_s"] = round(0.99 * done["recipients"] / done["payout.confirmed"]["s_to_99_percent"])
    return done


async def told(flow: Flow) -> dict[str, Any]:
    """Until every message that was due has left."""
    began, until = time.perf_counter(), time.monotonic() + DEADLINE_S
    before, first, sent = await flow.events(), None, 0
    while time.monotonic() < until:
        events = await news(flow, before)
        sent = events["notification.sent"] + events["notification.unknown"] + events["notification.failed"]
        if first is None and sent:
            first = time.perf_counter()
        if sent and (await lags(flow.settings, ["notify"]))["notify"] == 0 and await flow.finished():
            break
        await asyncio.sleep(LOOK_EVERY_S)
    seconds = time.perf_counter() - (first or began)
    return {"messages": sent, "seconds": round(seconds, 1), "per_s": round(sent / seconds)}


def run(population: Path, given: argparse.Namespace, filled: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="salur-bench-") as folder:
        home = Home.at(Path(folder) / "home")
        os.environ["SALUR_HOME"] = str(home.root)
        files = Path(folder) / "population"
        shutil.copytree(population, files)
        try:
            up(home, Request.given())
            return asyncio.run(measure(home, resolve(home.root), files, given, filled))
        finally:
            down(home)


def ratio(empty: dict[str, Any], filled: dict[str, Any]) -> str:
    cost, more = (sum(one["cpu_us"].values()) for one in (empty, filled))
    speed = filled["recipients_per_s"] / empty["recipients_per_s"]
    return (
        f"on tables of {filled['filled']:,}: {more / cost:.2f} times the CPU a recipient of empty ones, "
        f"{speed:.2f} times as many recipients a second"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.flow", description="How fast the whole flow is.")
    parser.add_argument("families", nargs="?", type=int, default=FAMILIES, help="about one recipient each")
    parser.add_argument("--rates", nargs="*", type=int, default=RATES, help="steady registrations a second")
    parser.add_argument("--filled", type=int, default=0, help="once more on tables that hold so many recipients")
    parser.add_argument("--only-filled", action="store_true", help="leave the empty tables out")
    parser.add_argument("--flames", type=Path, metavar="FOLDER", help="flame graphs of the stages, at once, go there")
    given = parser.parse_args()
    if given.flames and not flames.installed():
        parser.error("--flames needs py-spy: make .venv/baselines/filled")
    steady_rows = WARM_UP_ROWS + STEADY_S * sum(given.rates)
    if given.families < steady_rows + WARM_UP_ROWS:
        parser.error(f"these rates need more than {steady_rows + WARM_UP_ROWS:,} families")
    return given


def main() -> int:
    given = arguments()
    for name in [name for name in os.environ if name.startswith("SALUR_")]:
        del os.environ[name]  # a stack of its own
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leaves no stack behind
    with tempfile.TemporaryDirectory(prefix="salur-bench-") as folder:
        population = Path(folder)
        generate(population, given.families, SEED, reference_on(now().date()))
        results = [run(population, given, filled) for filled in ([] if given.only_filled else [0])]
        if given.filled:
            results.append(run(population, given, given.filled))
    if len(results) == 2:
        console.print(ratio(*results))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`salur demo`: the whole flow on generated families, with live progress, and the report at the end."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from salur.commands.report import print_report
from salur.commands.stack import StackProgress
from salur.console import out
from salur.demo import fresh
from salur.demo.flow import run
from salur.inside.connect import resolve
from salur.population import FAMILIES_MAX, generate
from salur.report import find
from salur.stack.control import Request, down, up
from salur.stack.home import Home
from salur.stack.status import status
from shared.clock import now

CARRIER_RATE = "1000"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("demo")(demo)


def demo(
    families: Annotated[int, typer.Option(help="How many families to make up.", min=1, max=FAMILIES_MAX)] = 20_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same families, bank and carrier.")] = 2026,
    home: Annotated[Path | None, typer.Option("--home", envvar="SALUR_HOME", help="Folder of the stack.")] = None,
) -> None:
    """Start everything, send families through the flow, and report. Exits 0 when every invariant holds.

    A former demo's stack is cleared away first. The stack stays up at the end; Ctrl-C stops what was started.
    """
    where = Home.at(home)
    fresh.clear(where)
    try:
        good = _run(where, families, seed)
    except KeyboardInterrupt:
        down(where)
        out.print("Interrupted; what was started is stopped again.")
        raise typer.Exit(130) from None
    _what_next(where)
    raise typer.Exit(0 if good else 1)


def _run(home: Home, families: int, seed: int) -> bool:
    folder = fresh.mark(home, families, seed)
    out.rule(f"{families:,} families of Polewali Mandar, seed {seed}")
    with Progress(transient=True) as progress:
        task = progress.add_task("making up families", total=families)
        generate(folder, families, seed, progress=lambda done: progress.update(task, completed=done))
    out.rule("starting Kafka, PostgreSQL, bank, carrier and every service")
    options = {"bank": {"seed": str(seed)}, "carrier": {"seed": str(seed), "rate": CARRIER_RATE}}
    with StackProgress(out) as stack:
        up(home, Request.given(options=options), watcher=stack.watcher)
    out.rule("from registration to money in an account and a message on a phone")
    asyncio.run(run(home, resolve(home.root), folder, families, now().date()))
    return print_report(find(home.root, folder), html=folder / "report.html")


def _what_next(home: Home) -> None:
    ports = {process.name: process.port for process in status(home, with_lag=False).processes}
    salur = Path(sys.executable).parent / "salur"
    families = _shortest(home.root / "demo" / "registrations.csv")
    out.rule("look around")
    for line in (
        f"report   {(home.root / 'demo' / 'report.html').as_uri()}",
        f"aid      http://127.0.0.1:{ports['portal']}/      what a recipient sees; the code comes to the phones",
        f"figures  http://127.0.0.1:{ports['portal']}/figures",
        f"console  http://127.0.0.1:{ports['portal']}/console      for officers",
        f"phones   http://127.0.0.1:{ports['carrier']}/phones",
        f"try      sed -n 2p {families} | cut -d, -f1 | {salur} trace --nik-stdin",
        f"         {salur} status",
        f"         {salur} audit verify",
        "stop     make down",
    ):
        out.print(line, soft_wrap=True, markup=False)


def _shortest(path: Path) -> Path:
    """The path as a person in the current folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path

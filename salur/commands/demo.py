"""`salur demo`: the whole flow on generated families, with live progress, and the report at the end."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from salur.commands.audit import signing_key
from salur.commands.report import print_report
from salur.commands.stack import StackProgress
from salur.console import out
from salur.demo import fresh
from salur.demo.flow import run
from salur.inside import figures
from salur.inside.connect import Settings, resolve
from salur.inside.options import HomeOption
from salur.inside.recovering import environment_of
from salur.population import FAMILIES_MAX, generate, reference_on
from salur.report import find
from salur.stack.control import Request, down, up
from salur.stack.home import Home
from salur.stack.ports import PortBook
from salur.stack.programs import PUBLIC
from salur.stack.status import status
from services.portal.settings import PortalSettings
from shared.clock import now

CARRIER_RATE = "1000"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("demo")(demo)


def demo(
    families: Annotated[int, typer.Option(help="How many families to make up.", min=1, max=FAMILIES_MAX)] = 20_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same families, bank and carrier.")] = 2026,
    home: HomeOption = None,
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
        reference = reference_on(now().date())
        generate(folder, families, seed, reference, lambda done: progress.update(task, completed=done))
    out.rule("starting Kafka, PostgreSQL, bank, carrier and every service")
    options = {"bank": {"seed": str(seed)}, "carrier": {"seed": str(seed), "rate": CARRIER_RATE}}
    with StackProgress(out) as stack:
        up(home, Request.given(options=options), watcher=stack.watcher)
    out.rule("from registration to money in an account and a message on a phone")
    settings = resolve(home.root)
    asyncio.run(run(home, settings, folder, families, now().date()))
    _publish_figures(home, settings)
    return print_report(find(home.root, folder), html=folder / "report.html")


def _publish_figures(home: Home, settings: Settings) -> None:
    """What the public sees, at a checkpoint of the audit.

    On a fixed date the portal has published already, while families were still coming in: this is in its place.
    """
    portal = PortalSettings.of(environment_of("portal", home.root))
    at = now()
    path = figures.checkpoint_path(home.root, at)
    asyncio.run(figures.publish_now(portal, settings, signing_key(None, home.root), path, at, instead=True))


def _what_next(home: Home) -> None:
    ports = {p.name: p.port for p in status(home, with_lag=False).processes}
    portal = f"http://127.0.0.1:{PortBook(home.ports).port(f'{PUBLIC}-0')}"
    salur = Path(sys.executable).parent / "salur"
    families = _shortest(home.root / "demo" / "registrations.csv")
    out.rule("look around")
    for line in (
        f"report   {(home.root / 'demo' / 'report.html').as_uri()}",
        f"my aid   {portal}/ (a NIK and birth date of {families}; the code comes to its phone)",
        f"phones   http://127.0.0.1:{ports.get('carrier')}/phones",
        f"figures  {portal}/figures",
        f"console  {portal}/console",
        f"try      sed -n 2p {families} | cut -d, -f1 | {salur} trace --nik-stdin",
        f"         {salur} status",
        f"         {salur} audit verify",
        "stop     make down",
    ):
        out.print(line, soft_wrap=True, markup=False)


def _shortest(path: Path) -> Path:
    """The path as a person in the current folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path

"""`salur report`: what became of everybody, where every rupiah is, and whether what must always hold does hold."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from salur.console import err, out
from salur.inside.options import HomeOption
from salur.report import find, make
from salur.report.places import Places
from salur.report.terminal import show
from salur.stack.home import write_private


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("report")(report)


def report(
    truth: Annotated[
        Path | None,
        typer.Option(
            help="Folder of `salur population`, to compare with what was planted [HOME/demo, if it is there].",
            file_okay=False,
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write one self-contained page to this file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON instead.")] = False,
    audit: Annotated[bool, typer.Option("--audit/--no-audit", help="Read all topics, and prove them.")] = True,
    home: HomeOption = None,
) -> None:
    """Show funnel, defects, money, messages and speed, and check every invariant. Exits 1 when one is broken."""
    if not print_report(find(home, truth), html=html, json=json, audit=audit):
        raise typer.Exit(1)


def print_report(places: Places, *, html: Path | None = None, json: bool = False, audit: bool = True) -> bool:
    """Makes the report and prints it; returns whether every invariant holds and all could be looked at."""
    with Console(stderr=True).status("looking around") as status:
        made = asyncio.run(make(places, audit=audit, tell=lambda what: status.update(f"{what} …")))
    if json:
        typer.echo(made.report.model_dump_json(indent=1))
    else:
        show(made.report, out, made.troubles)
    if html:
        from salur.report.page import page  # templates are slow to load

        write_private(html, page(made.report))
        html.chmod(0o644)
        err.print(f"The page: {html}", soft_wrap=True)
    for trouble in made.troubles if json else ():
        err.print(f"[yellow]{trouble}[/]", soft_wrap=True)
    return made.good

"""`salur register`: send a CSV file of registrations to the registry, and see what came of each row."""

from pathlib import Path
from typing import Annotated

import typer

from salur.commands.sending import send
from salur.inside.options import HomeOption
from salur.intake.kinds import REGISTRATIONS
from salur.stack.home import Home


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("register")(registrations)


def registrations(
    file: Annotated[Path, typer.Argument(help="CSV file; docs/reference/registry.md has its columns.")],
    source: Annotated[str, typer.Option(help="Name of the source that sends them.")],
    wait: Annotated[bool, typer.Option(help="Wait for the answers and write the results file.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait without any new answer.", min=0)] = 60,
    results: Annotated[Path | None, typer.Option(help="Default: NAME.results.csv beside FILE.")] = None,
    home: HomeOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Seal and publish every row of FILE, and collect the registry's answers row by row.

    It can be repeated after any interruption: a row that was sent before has no further effect.
    """
    send(Home.at(home), file, REGISTRATIONS, source, wait=wait, timeout_s=timeout, results=results, json=json)

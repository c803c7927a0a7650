"""`salur population`: write families like Polman's, with planted defects and the truth beside them."""

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from salur.population import DEFECTS, FAMILIES_MAX, REFERENCE_DATE, generate
from shared.errors import SalurError

_YEARS = (2000, 2099)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("population")(population)


def population(
    families: Annotated[int, typer.Option(help="How many families.", min=1, max=FAMILIES_MAX)],
    out: Annotated[Path, typer.Option(help="Folder for the four files; existing ones are replaced.", file_okay=False)],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.", min=0)] = 2026,
    reference_date: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d"], help="The day on which ages are reckoned; all dates lie before it."),
    ] = datetime(REFERENCE_DATE.year, REFERENCE_DATE.month, REFERENCE_DATE.day),
    json: Annotated[bool, typer.Option("--json", help="Print population.json instead of tables.")] = False,
) -> None:
    """Write registrations.csv, flags.csv, truth.jsonl and population.json of made-up families of Polewali Mandar."""
    if not _YEARS[0] <= reference_date.year <= _YEARS[1]:
        raise typer.BadParameter(f"the year must lie in {_YEARS[0]}..{_YEARS[1]}", param_hint="--reference-date")
    started = time.perf_counter()
    columns = (TextColumn("families"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("families", total=families)
        try:
            result = generate(out, families, seed, reference_date.date(), lambda done: bar.update(task, completed=done))
        except OSError as error:
            raise SalurError(
                f"{out}: the population cannot be written: {error.strerror or error}",
                hint="Choose a folder that can be written and has room (about 1 KB a family).",
            ) from error
    if json:
        typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(result, out, time.perf_counter() - started)


def _show(result: dict[str, Any], out: Path, seconds: float) -> None:
    counts = result["counts"]
    console = Console()
    table = Table("planted", "count", "expected rate", title=f"{result['families']:,} families, seed {result['seed']}")
    for column in table.columns[1:]:
        column.justify = "right"
    for defect in DEFECTS:
        table.add_row(defect, f"{counts['defects'][defect]:,}", f"{result['rates'][defect]:.2%}")
    console.print(table)
    answers = ", ".join(f"{count:,} {answer}" for answer, count in counts["answers"].items())
    console.print(f"{counts['submissions']:,} registrations (expected: {answers}) and {counts['flag_rows']:,} flags")
    console.print(f"of {counts['registered_people']:,} people in {out}, {seconds:.1f} s")

"""What `salur register` and `salur flag` have in common: progress, the summary, the exit code."""

import asyncio
from dataclasses import asdict
from pathlib import Path

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from salur.intake import Options, Summary, find_kafka, find_upstream, submit
from salur.intake import Progress as SendingProgress
from salur.intake.kinds import Kind
from salur.intake.submit import MALFORMED_SHOWN_MAX
from salur.stack.home import Home

_PERMILLE = 1000


def send(
    home: Home, file: Path, kind: Kind, source: str, *, wait: bool, timeout_s: float, results: Path | None, json: bool
) -> None:
    """Sends the file to the stack at `home`, prints what came of it, and exits with 1 unless every row was answered."""
    upstream, kafka = find_upstream(home, source), find_kafka(home)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]:>10,}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        sent = bar.add_task("sent", total=_PERMILLE, count=0)
        answered = bar.add_task("answered", total=_PERMILLE, count=0, visible=wait)

        def show(now: SendingProgress) -> None:
            done = now.bytes_read / max(now.bytes, 1)
            bar.update(sent, completed=_PERMILLE * done, count=now.sent)
            bar.update(answered, completed=_PERMILLE * done * now.answered / max(now.sent, 1), count=now.answered)

        options = Options(wait=wait, timeout_s=timeout_s, results=results)
        summary = asyncio.run(submit(file, kind, upstream, kafka, options, show))
    _print(summary, json=json)
    if not summary.complete:
        raise typer.Exit(1)


def _print(summary: Summary, *, json: bool) -> None:
    if json:
        typer.echo(orjson.dumps(asdict(summary) | {"complete": summary.complete}, option=orjson.OPT_INDENT_2).decode())
        return
    for line in summary.malformed:
        typer.echo(f"not sent: {line}", err=True)
    if (more := summary.rows - summary.sent - len(summary.malformed)) > 0:
        typer.echo(f"not sent: {more:,} rows more than these {MALFORMED_SHOWN_MAX}", err=True)
    table = Table("answer", "rows", title=f"{summary.file}: {summary.rows:,} rows of {summary.source}")
    table.columns[1].justify = "right"
    counts = summary.answers | ({"no answer yet": summary.unanswered} if summary.results and summary.unanswered else {})
    for answer, count in counts.items():
        table.add_row(answer.replace("_", " "), f"{count:,}")
    console = Console()
    if counts:
        console.print(table)
    typer.echo(f"{summary.sent:,} rows sent at {summary.rows_per_second:,.0f} a second, {summary.seconds:.1f} s in all")
    if summary.results:
        typer.echo(f"row by row: {summary.results}")

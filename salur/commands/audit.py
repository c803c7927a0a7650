"""`salur audit verify`: recomputes sequences and digests of every stage, and compares its rows with its events."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from salur.console import print_json
from salur.inside.audit import AuditResult, Progress, StageAudit, verify
from salur.inside.connect import resolve
from salur.inside.options import HomeOption, JsonOption, one_of, printer, run
from shared.events.topics import STAGES, Service

app = typer.Typer(no_args_is_help=True, help="Prove that topics and databases say what was written.")

_LISTED_MAX: Final = 40


def register(parent: typer.Typer) -> None:
    """Adds this module's commands."""
    parent.add_typer(app, name="audit")


@app.callback()
def audit() -> None:
    """Prove that topics and databases say what was written."""


@app.command("verify")
def verify_command(
    stages: Annotated[list[str] | None, typer.Argument(metavar="[STAGE]…", help=f"{', '.join(STAGES)}; all.")] = None,
    events_only: Annotated[bool, typer.Option("--events-only", help="Sequences and digests, not rows.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute sequences and digests, compare rows with events. Exits 1 and names what is wrong."""
    wanted = cast("list[Service]", one_of(stages or list(STAGES), STAGES, "STAGE"))
    settings = resolve(home)
    with bars(Console(stderr=True)) as progress:
        result = run(verify(settings, wanted, progress, rows=not events_only))
    if as_json:
        print_json(document(result))
    else:
        _show(result, printer())
    raise typer.Exit(0 if result.ok else 1)


def document(result: AuditResult) -> dict[str, Any]:
    """What `--json` prints; docs/reference/audit.md describes it."""
    totals = ("events", "rows", "gaps", "digest_mismatches", "row_mismatches", "republications")
    return {"ok": result.ok, **{name: getattr(result, name) for name in totals}, **result.model_dump(mode="json")}


@contextmanager
def bars(console: Console) -> Iterator[Progress]:
    """A bar for each topic on a terminal; nothing elsewhere."""
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield _Bars(progress)


class _Bars:
    def __init__(self, progress: Bars) -> None:
        self._progress = progress
        self._task = progress.add_task("connecting", total=None)

    def begin(self, what: str, total: int) -> None:
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(what, total=total or None)

    def advance(self, count: int) -> None:
        self._progress.advance(self._task, count)


def _show(result: AuditResult, console: Console) -> None:
    for stage in result.stages:
        console.print(_topics(stage))
        if stage.tables:
            console.print(_tables(stage))
    for finding in result.findings[:_LISTED_MAX]:
        console.print(f"[red]{finding.kind}[/red]  {finding.detail}", soft_wrap=True, highlight=False)
    found = sum(result.counts.values())
    if found > _LISTED_MAX:
        console.print(f"… {found - _LISTED_MAX} more; --json lists up to 200 of each kind.")
    rate = result.events / result.seconds if result.seconds else 0.0
    proven = f"{result.events:,} events and {result.rows:,} rows in {result.seconds:.1f} s ({rate:,.0f} events/s)"
    if result.ok:
        console.print(f"[green]Everything is as it was written:[/green] {proven}.")
    else:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(result.counts.items()))
        console.print(f"[bold red]Broken:[/bold red] {kinds}; looked at {proven}.")


def _topics(stage: StageAudit) -> Table:
    table = Table("topic", title=f"{stage.stage}", title_justify="left", title_style="bold", box=None)
    for name in ("events", "in outbox", "later", "re-published", "gaps", "digests"):
        table.add_column(name, justify="right")
    for topic in stage.topics:
        right = not topic.digest_mismatches
        table.add_row(
            topic.topic,
            f"{topic.events:,}",
            f"{topic.in_outbox:,}",
            f"{topic.later:,}",
            f"{topic.republications:,}",
            f"[red]{topic.gaps:,}[/red]" if topic.gaps else "0",
            "right" if right else f"[red]{topic.digest_mismatches} wrong[/red]",
        )
    return table


def _tables(stage: StageAudit) -> Table:
    table = Table("rows of", box=None)
    for name in ("rows", "agree", "excused", "wrong"):
        table.add_column(name, justify="right")
    for one in stage.tables:
        wrong = f"[red]{one.mismatches:,}[/red]" if one.mismatches else "0"
        table.add_row(one.table, f"{one.rows:,}", f"{one.agreeing:,}", f"{one.excused:,}", wrong)
    return table

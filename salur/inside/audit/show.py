"""What an audit found, for people: tables on standard output, bars on standard error while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from salur.inside.audit.progress import Progress
from salur.inside.audit.result import AuditResult, Resumption, StageAudit

_LISTED_MAX: Final = 40


@contextmanager
def bars(console: Console) -> Iterator[Progress]:
    """A bar for each part on a terminal; nothing elsewhere."""
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield _Bars(progress)


class _Bars:
    def __init__(self, progress: Bars) -> None:
        self._progress = progress
        self._task = self._add("connecting", 0)

    def begin(self, what: str, total: int) -> None:
        self._progress.remove_task(self._task)
        self._task = self._add(what, total)

    def advance(self, count: int) -> None:
        self._progress.advance(self._task, count)
        task = next((task for task in self._progress.tasks if task.id == self._task), None)
        if task and task.elapsed:
            self._progress.update(self._task, rate=f"{task.completed / task.elapsed:,.0f}/s")

    def _add(self, what: str, total: int) -> TaskID:
        return self._progress.add_task(what, total=total or None, rate="")


def show(result: AuditResult, console: Console) -> None:
    for stage in result.stages:
        console.print(_topics(stage))
        if stage.tables:
            console.print(_tables(stage))
        for resumption in stage.resumptions:
            console.print(f"[yellow]resumed[/yellow]  {_resumed(resumption)}", soft_wrap=True, highlight=False)
    for one in result.since:
        console.print(
            f"Compared with the checkpoint of {one.made_at}: {one.heads:,} heads, {one.transfers:,} transfers.",
            soft_wrap=True,
        )
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


def _resumed(one: Resumption) -> str:
    where = "after its breaker had opened"
    if one.topic:
        where = f"{one.topic}/{one.partition} from sequence {one.expected_sequence} to {one.next_sequence}"
    return f"{where}, by {escape(one.resumed_by)} at {one.resumed_at:%Y-%m-%d %H:%M:%S}Z: {escape(one.reason)}"


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

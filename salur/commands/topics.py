"""`salur topics`: every topic of the flow with its size, retention and lag."""

import typer
from rich.table import Table

from salur.console import print_json
from salur.inside.connect import resolve
from salur.inside.options import HomeOption, JsonOption, printer, run
from salur.inside.topics import TopicView, topics

_DAY_MS = 24 * 3600 * 1000


def register(app: typer.Typer) -> None:
    """Adds this module's command."""
    app.command("topics")(topics_command)


def topics_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show owner, partitions, messages, bytes, retention and lag of every topic. Exits 1 when one is not in order."""
    views = run(topics(resolve(home)))
    if as_json:
        print_json([view.model_dump() for view in views])
    else:
        _show(views)
    raise typer.Exit(1 if any(view.problem for view in views) else 0)


def _show(views: list[TopicView]) -> None:
    console = printer()
    table = Table(box=None)
    table.add_column("topic", no_wrap=True)
    table.add_column("owner")
    for name in ("partitions", "messages", "bytes", "kept"):
        table.add_column(name, justify="right")
    table.add_column("lag")
    for view in views:
        if not view.partitions:
            table.add_row(view.topic, view.owner, "[red]missing[/red]", "-", "-", "-", "-")
            continue
        table.add_row(
            view.topic,
            view.owner,
            str(view.partitions),
            f"{view.messages:,}",
            "not told" if view.bytes is None else _size(view.bytes),
            _kept(view.retention_ms),
            ", ".join(f"{group.removeprefix('salur-')} {lag:,}" for group, lag in sorted(view.lag.items())) or "-",
        )
    console.print(table)
    for view in views:
        if view.problem:
            console.print(f"[red]{view.topic}[/red] {view.problem}", soft_wrap=True)


def _size(count: int) -> str:
    return (
        f"{count / 1e9:.2f} GB"
        if count >= 1e9
        else f"{count / 1e6:.2f} MB"
        if count >= 1e6
        else f"{count / 1e3:.1f} kB"
    )


def _kept(retention_ms: int | None) -> str:
    if retention_ms is None:
        return "not told"
    return "for ever" if retention_ms < 0 else f"{retention_ms / _DAY_MS:g} days"

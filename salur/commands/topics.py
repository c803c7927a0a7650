"""`salur topics`: every topic of the flow with its size, retention and lag; `salur topics check`: what differs."""

import typer
from rich.table import Table

from salur.console import print_json
from salur.inside.drift import Drift, find_drift
from salur.inside.options import HomeOption, JsonOption, printer, run
from salur.inside.topics import TopicView, topics
from salur.intake import find_kafka
from salur.stack.home import Home

_DAY_MS = 24 * 3600 * 1000


app = typer.Typer()


def register(parent: typer.Typer) -> None:
    """Adds this module's commands."""
    parent.add_typer(app, name="topics")


@app.callback(invoke_without_command=True)
def topics_command(ctx: typer.Context, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show owner, partitions, messages, bytes, retention and lag of every topic. Exits 1 when one is not in order."""
    if ctx.invoked_subcommand:
        return
    views = run(topics(find_kafka(Home.at(home))))
    if as_json:
        print_json([view.model_dump() for view in views])
    else:
        _show(views)
    raise typer.Exit(1 if any(view.problem for view in views) else 0)


@app.command("check")
def check_command(ctx: typer.Context, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Compare the cluster with what its topics should be. Exits 1 and says what to do when something differs."""
    before = ctx.parent.params if ctx.parent else {}  # options may stand before the word `check`, too
    settings = find_kafka(Home.at(home or before.get("home")))
    drifts = run(find_drift(settings))
    if as_json or before.get("as_json"):
        print_json([drift.model_dump() for drift in drifts])
    else:
        _show_drifts(drifts, settings.kafka)
    raise typer.Exit(1 if drifts else 0)


def _show_drifts(drifts: list[Drift], where: str) -> None:
    console = printer()
    for drift in drifts:
        said = f"{drift.what} is {drift.found}" if drift.what != "topic" else drift.found
        console.print(f"[red]{drift.topic}[/red] {said}, should be {drift.wanted}: {drift.remedy}", soft_wrap=True)
    if not drifts:
        console.print(f"The topics of Kafka at {where} are as they should be.", soft_wrap=True)


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

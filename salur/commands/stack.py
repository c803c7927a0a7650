"""`salur up`, `salur status`, `salur down`."""

from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from salur.inside.options import HomeOption
from salur.stack.control import Request, Watcher, down, up
from salur.stack.home import Home
from salur.stack.state import ProcessState, State
from salur.stack.status import Status, status

_COLOURS = {
    ProcessState.READY: "green",
    ProcessState.RESTARTING: "red",
    ProcessState.DEAD: "red",
    ProcessState.UNREADY: "yellow",
}
_JSON = Annotated[bool, typer.Option("--json", help="Print the status as JSON.")]


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command("up")(up_command)
    app.command("status")(status_command)
    app.command("down")(down_command)


def up_command(
    scale: Annotated[list[str] | None, typer.Option(metavar="SERVICE=N", help="Run N instances of a service.")] = None,
    brokers: Annotated[
        int | None, typer.Option(metavar="1|3", help="Kafka brokers; three survive the loss of one. Only at first.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the simulated bank and carrier.")] = None,
    carrier_rate: Annotated[float | None, typer.Option(help="Messages a second that the carrier takes.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PROGRAM.OPTION=VALUE", help="An option of a program, as bank.refused=0.05."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until all is ready.")] = 180,
    home: HomeOption = None,
    as_json: _JSON = False,
) -> None:
    """Start what is missing and wait until every process is ready. Options are remembered until given anew."""
    where = Home.at(home)
    request = Request.given(
        scale=dict(_scale(text) for text in scale or ()),
        options=_options(settings or [], seed, carrier_rate),
        brokers=brokers,
    )
    console = Console(stderr=as_json)
    try:
        with StackProgress(console) as progress:
            changed = up(where, request, timeout_s=timeout, watcher=progress.watcher)
    except KeyboardInterrupt:
        console.print("Interrupted; what was started is stopped again.")
        raise typer.Exit(130) from None
    found = status(where, with_lag=False)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    elif changed:
        console.print(
            f"Ready: {len(found.processes)} processes; [b]salur status[/b] shows them, [b]salur down[/b] stops them."
        )
    else:
        console.print(f"The stack at {where.root} is up already; nothing was changed.")


def status_command(home: HomeOption = None, as_json: _JSON = False) -> None:
    """Show processes, pids, ports, versions, memory and lag. Exits 1 unless everything is ready."""
    found = status(Home.at(home))
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        _show(found, Console())
    raise typer.Exit(0 if found.healthy else 1)


def down_command(home: HomeOption = None, as_json: _JSON = False) -> None:
    """Stop everything that `salur up` started; data stays."""
    where = Home.at(home)
    console = Console(stderr=as_json)
    with StackProgress(console) as progress:
        stopped = down(where, watcher=progress.watcher)
    if as_json:
        typer.echo(status(where).model_dump_json(indent=1))
    else:
        console.print(f"Stopped: {', '.join(stopped)}." if stopped else f"Nothing runs at {where.root}.")


def _scale(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not name or not count.isdigit():
        raise typer.BadParameter(f"{text!r} is not SERVICE=N", param_hint="--scale")
    return name, int(count)


def _options(settings: list[str], seed: int | None, carrier_rate: float | None) -> dict[str, dict[str, str]]:
    options: dict[str, dict[str, str]] = {}
    for text in settings:
        left, equals, value = text.partition("=")
        program, dot, option = left.partition(".")
        if not (program and dot and option and equals):
            raise typer.BadParameter(f"{text!r} is not PROGRAM.OPTION=VALUE", param_hint="--set")
        options.setdefault(program, {})[option] = value
    if seed is not None:
        for name in ("bank", "carrier"):
            options.setdefault(name, {})["seed"] = str(seed)
    if carrier_rate is not None:
        options.setdefault("carrier", {})["rate"] = f"{carrier_rate:g}"
    return options


class StackProgress:
    """A table of states that changes in place; on something that is no terminal, a line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True, refresh_per_second=10) if console.is_terminal else None
        self._told: dict[str, str] = {}
        self.watcher = Watcher(state=self._state, jars=self._jars)

    def __enter__(self) -> "StackProgress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def _jars(self, done: int, total: int) -> None:
        if self._live:
            self._live.update(f"Fetching Kafka, once: {done} of {total} jars")
        elif done == total:
            self._console.print(f"Fetched Kafka: {total} jars")

    def _state(self, state: State) -> None:
        if self._live:
            table = Table.grid(padding=(0, 2))
            for record in state.processes:
                note = record.failure if record.state == ProcessState.RESTARTING else ""
                table.add_row(f"{record.name}-{record.instance}", _coloured(record.state), note or "")
            self._live.update(table)
            return
        for record in state.processes:
            name = f"{record.name}-{record.instance}"
            if self._told.get(name) != record.state:
                self._told[name] = record.state
                self._console.print(f"{name}: {record.state}")


def _coloured(state: ProcessState) -> str:
    return f"[{_COLOURS.get(state, 'cyan')}]{state}[/]"


def _show(found: Status, console: Console) -> None:
    if not found.processes:
        console.print("Nothing runs; `salur up` starts the stack.")
        return
    names = ("process", "pid", "port", "version", "state", "restarts", "since", "memory", "lag")
    table = Table(*names, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for process in found.processes:
        table.add_row(
            f"{process.name}-{process.instance}",
            str(process.pid or "-"),
            str(process.port or "-"),
            process.version,
            _coloured(process.state),
            str(process.restarts),
            f"{process.since.astimezone():%H:%M:%S}" if process.since else "-",
            f"{process.memory_bytes / 1e6:.0f} MB" if process.memory_bytes else "-",
            "-" if process.lag is None else f"{process.lag:,}",
        )
    console.print(table)
    console.print(f"Kafka {found.kafka}   PostgreSQL {found.postgres}")
    if found.supervisor is None:
        console.print("[red]The supervisor is dead: nothing that ends is started again until `salur up`.[/red]")

"""`salur chaos`: the whole flow under random faults, and whether it ends as it would have without them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from salur.chaos import Plan, Telling, run
from salur.chaos.faults import Fault
from salur.chaos.outcome import Outcome
from salur.commands.stack import StackProgress
from salur.population import FAMILIES_MAX
from salur.stack.control import Watcher
from salur.stack.home import Home
from salur.stack.kafka import BROKERS

WRONG_SHOWN_MAX = 20


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("chaos")(chaos)


def chaos(
    families: Annotated[int, typer.Option(help="How many families to make up.", min=1, max=FAMILIES_MAX)] = 2_000,
    faults: Annotated[int, typer.Option(help="How many faults to inject.", min=0)] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same families, input and faults.")] = 2026,
    brokers: Annotated[int, typer.Option(metavar="1|3", help="Kafka brokers.")] = 1,
    home: Annotated[
        Path | None, typer.Option("--home", help="Folder of the run's own two stacks [.salur/chaos].", file_okay=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Kill, pause, slow down, cut off and poison the flow, and compare with a run that nobody disturbed.

    Exits 0 when every invariant holds and both runs end alike. Stacks and databases are the run's own, whatever the
    environment says; a former run in the folder is cleared away.
    """
    if brokers not in BROKERS:
        raise typer.BadParameter("a stack has 1 or 3", param_hint="--brokers")
    root = (home or Home.at().root / "chaos").expanduser().resolve()
    console = Console(stderr=json, highlight=False)
    shown = _Shown(console, families, faults)
    try:
        with shown.progress:
            outcome, story = run(Plan(families, faults, seed, brokers, root), shown.telling())
    except KeyboardInterrupt:
        console.print("Interrupted; what was started is stopped again.")
        raise typer.Exit(130) from None
    if json:
        typer.echo(outcome.model_dump_json(indent=1))
    else:
        _print(console, outcome)
    if not outcome.good:
        console.print(story.read_text(encoding="utf-8"), soft_wrap=True, markup=False)
        console.print(
            f"This story stands in {story}; `salur up --home {root / 'disturbed'}` starts what is left of it."
        )
        raise typer.Exit(1)


class _Shown:
    """Chapters as lines, and bars that grow below them."""

    def __init__(self, console: Console, families: int, faults: int) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._families = self.progress.add_task("families made up", total=families, visible=False)
        self._events = self.progress.add_task("events", total=None, visible=False)
        self._faults = self.progress.add_task("faults", total=faults, visible=False)

    def telling(self) -> Telling:
        return Telling(
            self._chapter, self._made, self._stack, self._happened, self._fault, self._drained, self._looking
        )

    def _chapter(self, title: str) -> None:
        for task in (self._families, self._events, self._faults):
            self.progress.update(task, visible=False)
        self.progress.update(self._events, completed=0, description="events")
        self.console.print(title)

    def _made(self, done: int) -> None:
        self.progress.update(self._families, completed=done, visible=True)

    @contextmanager
    def _stack(self) -> Iterator[Watcher]:
        self.progress.stop()  # two things that move in place do not fit on one terminal
        with StackProgress(self.console) as stack:
            yield stack.watcher
        self.progress.start()

    def _happened(self, events: dict[str, int]) -> None:
        self.progress.update(self._events, completed=sum(events.values()), visible=True)

    def _fault(self, fault: Fault) -> None:
        self.progress.update(
            self._faults, completed=fault.number, visible=True, description=f"{fault.kind} {fault.victim}"
        )

    def _drained(self, part: str, seconds: float) -> None:
        self.console.print(f"  {part}: at rest after {seconds:.0f} s")

    def _looking(self, what: str) -> None:
        self.progress.update(self._events, description=what, visible=True)


def _print(console: Console, outcome: Outcome) -> None:
    table = Table("fault", "times", box=None)
    table.columns[1].justify = "right"
    for kind, times in outcome.injected.items():
        table.add_row(kind.replace("_", " "), f"{times:,}")
    table.add_row("injected", f"{sum(outcome.injected.values()):,} of {outcome.faults:,}")
    console.print(table)
    for name, broken in outcome.invariants.items():
        mark = "[green]holds[/]" if broken == 0 else "[red]not checked[/]" if broken is None else f"[red]{broken:,}[/]"
        console.print(f"{name.replace('_', ' '):<34} {mark}")
    things = ", ".join(f"{count:,} {what}" for what, count in outcome.compared.items())
    console.print(f"compared with the undisturbed run: {things}", soft_wrap=True)
    console.print(
        f"{outcome.recipients:,} recipients, {outcome.events:,} events; {outcome.restarts:,} restarts, "
        f"{outcome.fenced:,} turns fenced, {outcome.transactions_ended:,} transactions of zombies ended, "
        f"{outcome.republications:,} events published twice and dropped, "
        f"{outcome.unknown_messages:,} messages of unknown fate",
        soft_wrap=True,
    )
    console.print(
        f"{outcome.disturbed_s:,.0f} s, undisturbed {outcome.undisturbed_s:,.0f} s; at rest at most "
        f"{max(outcome.drained_s.values(), default=0):,.0f} s after the last fault of a part"
    )
    console.print("[green]both runs ended alike[/]" if outcome.good else f"[red]{len(outcome.wrong):,} broken[/]")
    for sentence in outcome.wrong[:WRONG_SHOWN_MAX]:
        console.print(f"  {sentence}", soft_wrap=True, markup=False)

"""`salur keys reseal`: moves everything that is kept under a retired key to the key in use."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from salur.console import out, print_json
from salur.inside.dependents import DEPENDENTS
from salur.inside.door import door
from salur.inside.options import HomeOption
from salur.inside.resealing import Outcome, Registry, reseal
from salur.stack.home import Home
from shared import clock
from shared.errors import KeyInUse, SalurError
from shared.privacy import keyfile
from shared.privacy.keyring import default_path
from shared.privacy.keys import Kind


def reseal_command(
    key_id: Annotated[str, typer.Argument(metavar="KEYID", help="A retired one, as `salur keys list` shows it.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", help="The main key file; default SALUR_KEYS.", dir_okay=False)
    ] = None,
    url: Annotated[
        str | None, typer.Option(envvar="SALUR_REGISTRY_URL", help="Default: the running stack's registry.")
    ] = None,
    wait_s: Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait for the stages.")] = 600.0,
    home: HomeOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Seal anew what is kept under a retired key, so that it can be destroyed. Exits with 1 while values are left.

    Decisions, orders and messages stay as they are. It may be interrupted, and repeated, at any time.
    """
    kind = check_may_be_resealed(keys, key_id)
    registry = Registry(*door(Home.at(home), "registry", "reseal_token", url))
    with _Shown() as shown:
        outcome = asyncio.run(reseal(registry, kind, key_id, shown, wait_s))
    if json:
        print_json(_as_json(outcome))
    else:
        _print(outcome)
    if not outcome.complete:
        raise typer.Exit(1)


def check_may_be_resealed(keys: Path | None, key_id: str) -> Kind:
    """The key's kind. Raises KeyMissing, also for one that was destroyed; KeyInUse while it still seals."""
    kind, key = keyfile.find(keyfile.read(keys or default_path()), key_id)
    if key.retired is None or key.retired > clock.now():
        raise KeyInUse(
            f"key {key_id} still seals: whatever is sealed anew would be under it again",
            hint=f"`salur keys rotate {kind}` makes its successor; reseal once that one is active",
        )
    if not DEPENDENTS.get(kind):
        raise SalurError(f"no service keeps values under {kind} keys: there is nothing to seal anew")
    return kind


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "key_id": outcome.key_id,
        "kind": outcome.kind,
        "complete": outcome.complete,
        "rounds": outcome.rounds,
        "resealed": outcome.resealed,
        "told": outcome.told,
        "left": {place: {"values": count, "why": outcome.why(place)} for place, count in outcome.still.items()},
        "behind": outcome.behind._asdict() if outcome.behind else None,
    }


def _print(outcome: Outcome) -> None:
    out.print(
        f"{outcome.key_id}: {outcome.resealed:,} recipients sealed anew in the registry, {outcome.told:,} told to the "
        f"others, in {outcome.rounds} rounds"
    )
    for place, count in outcome.still.items():
        out.print(f"[yellow]left[/]  {place}: {count:,} values. {outcome.why(place)}")
    if outcome.complete:
        out.print(f"nothing depends on it any more: `salur keys destroy {outcome.key_id} --yes` can follow")
        return
    if outcome.behind:
        reader, events = outcome.behind
        out.print(f"[yellow]{reader} has {events:,} events to read yet[/]: does it run? `salur status`")
    out.print("run it again")


class _Shown:
    """Progress on a terminal; standard output stays free."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:>10,}"))
        self._bars = Bars(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
        self._task: TaskID | None = None

    def __enter__(self) -> "_Shown":
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def begin(self, what: str, total: int) -> None:
        if self._task is not None:
            self._bars.update(self._task, visible=False)
        self._task = self._bars.add_task(what, total=total or None)

    def advance(self, count: int) -> None:
        if self._task is not None:
            self._bars.advance(self._task, count)

"""Options that the commands for looking inside share, and how they run."""

import asyncio
import gc
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from shared.errors import SalurError

T = TypeVar("T")

WIDTH_ELSEWHERE = 160

HomeOption = Annotated[Path | None, typer.Option("--home", envvar="SALUR_HOME", help="Folder of the stack [.salur].")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs to its end; the garbage collector looks less often at what is read by the million."""
    gc.set_threshold(50_000, 50, 50)
    return asyncio.run(work)


def one_of(values: list[str], known: tuple[str, ...], what: str) -> list[str]:
    """The values as they are. Raises a usage error (exit 2) for one that is not known."""
    for value in values:
        if value not in known:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(known)}", param_hint=what)
    return values


def printer() -> Console:
    """Standard output: as wide as the terminal, and wide enough for tables where it goes into a file."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=WIDTH_ELSEWHERE, highlight=False)


class NotFound(SalurError):
    """Nothing has this id."""

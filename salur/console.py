"""How the command line speaks: rich on a terminal, JSON where it is asked for, errors that say what to do."""

import json
import sys
from typing import Any, NoReturn

from rich.console import Console

from shared.errors import SalurError

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    out.print(text, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on standard output, nothing else there."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")


def fail(error: SalurError) -> NoReturn:
    """Says what is wrong and what to do, and ends with 1."""
    err.print(f"[bold red]salur:[/] {error.message}", soft_wrap=True)
    if error.hint:
        err.print(f"       {error.hint}", soft_wrap=True)
    sys.exit(1)

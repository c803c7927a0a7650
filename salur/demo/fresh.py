"""A demo starts on an empty stack: a former demo's is cleared away, anything else is left alone."""

import json
import shutil
from pathlib import Path

from salur.stack.control import down
from salur.stack.home import Home
from shared.errors import SalurError

_MARK = "demo.json"


class NotADemo(SalurError):
    """The stack's folder holds data that no demo made."""


def clear(home: Home) -> bool:
    """Stops and removes the stack of a former demo; returns whether there was one. Raises NotADemo."""
    if not home.root.exists():
        return False
    if not (home.root / _MARK).exists():
        if home.wanted.exists():
            raise NotADemo(
                f"{home.root} holds the data of a stack that is not a demo's",
                hint="the demo would mix with it: set SALUR_HOME to another folder for the demo",
            )
        return False
    down(home)
    shutil.rmtree(home.root)
    return True


def mark(home: Home, families: int, seed: int) -> Path:
    """Says that the stack at `home` is a demo's; returns the folder for the demo's own files."""
    folder = home.root / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    (home.root / _MARK).write_text(json.dumps({"families": families, "seed": seed}), encoding="utf-8")
    return folder

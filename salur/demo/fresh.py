"""A demo starts on an empty stack: a former demo's is cleared away, anything else is left alone."""

import json
import shutil
from pathlib import Path

from salur.stack.control import down
from salur.stack.home import Home
from shared.errors import SalurError

_MARK = "demo.json"
_CHAOS = "chaos"
"""A chaos run's own folder, which it clears by itself."""


class NotADemo(SalurError):
    """The stack's folder holds what no demo made."""


def clear(home: Home) -> bool:
    """Stops and removes the stack of a former demo; returns whether there was one. Raises NotADemo."""
    if not _found(home):
        return False
    if not (home.root / _MARK).exists():
        raise NotADemo(
            f"{home.root} holds something else than a demo",
            hint="the next demo would remove it: set SALUR_HOME to a folder of its own for the demo",
        )
    down(home)
    for path in _found(home):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return True


def _found(home: Home) -> list[Path]:
    return [path for path in home.root.iterdir() if path.name != _CHAOS] if home.root.exists() else []


def mark(home: Home, families: int, seed: int) -> Path:
    """Says that the stack at `home` is a demo's; returns the folder for the demo's own files."""
    folder = home.root / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    (home.root / _MARK).write_text(json.dumps({"families": families, "seed": seed}), encoding="utf-8")
    return folder

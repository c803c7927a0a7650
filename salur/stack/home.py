"""The folder that holds all state of a stack, and how files are written into it."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT = ".salur"


@dataclass(frozen=True, slots=True)
class Home:
    """Absolute paths below one stack's folder (`SALUR_HOME`, else `.salur` in the current folder)."""

    root: Path

    @classmethod
    def at(cls, path: Path | str | None = None) -> "Home":
        return cls(Path(path or os.environ.get("SALUR_HOME") or DEFAULT).expanduser().resolve())

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def wanted(self) -> Path:
        return self.root / "wanted.json"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    @property
    def keys(self) -> Path:
        """The main key file; each service has a part of it."""
        return self.root / "keys.json"

    def keys_of(self, service: str) -> Path:
        return self.root / "keys" / f"{service}.json"

    @property
    def stack_lock(self) -> Path:
        """Held by an `up` or a `down` while it works."""
        return self.root / "stack.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.root / "supervisor.lock"

    def log_of(self, name: str, instance: int) -> Path:
        return self.logs / f"{name}-{instance}.log"

    def make(self) -> None:
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replaces `path` at once by a file that only its owner can read; a reader sees the old text or the new."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp creates with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """The object in `path`, empty where the file does not exist."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found

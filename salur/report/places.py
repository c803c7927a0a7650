"""Where everything is that the report looks at: from the environment, else from the stack at `home`."""

import os
from pathlib import Path
from typing import NamedTuple

from salur.inside.connect import Settings, resolve
from salur.stack.home import Home, read_json
from salur.stack.status import ProcessStatus, status
from shared.errors import SalurError


class NoTruth(SalurError):
    """The folder holds no generated population."""


class Places(NamedTuple):
    """`bank` and `carrier` are addresses of their books; None: there are none at hand. `tokens`: of sources, for the
    ids of their submissions."""

    settings: Settings
    bank: str | None
    carrier: str | None
    truth: Path | None
    tokens: tuple[str, ...]
    processes: tuple[ProcessStatus, ...]


def find(home: Path | None, truth: Path | None) -> Places:
    """Raises NoTruth for a folder that was named and holds none, and what `resolve` raises."""
    where = Home.at(home)
    running = tuple(p for p in status(where, with_lag=False).processes if p.pid) if where.root.is_dir() else ()
    settings = resolve(home)
    return Places(
        settings=settings,
        bank=os.environ.get("SALUR_BANK_URL") or _url(running, "bank"),
        carrier=os.environ.get("SALUR_CARRIER_URL") or _url(running, "carrier"),
        truth=_truth(where, truth),
        tokens=_tokens(where),
        processes=running,
    )


def _truth(home: Home, given: Path | None) -> Path | None:
    folder = given or home.root / "demo"
    missing = [name for name in ("truth.jsonl", "registrations.csv") if not (folder / name).exists()]
    if not missing:
        return folder
    if given:
        raise NoTruth(f"{folder} holds no {missing[0]}", hint="`salur population` writes it")
    return None


def _url(running: tuple[ProcessStatus, ...], name: str) -> str | None:
    port = next((process.port for process in running if process.name == name), None)
    return f"http://127.0.0.1:{port}" if port else None


def _tokens(home: Home) -> tuple[str, ...]:
    secrets = read_json(home.secrets)
    known = secrets.get("sources") or secrets.get("source_tokens") or {}
    given = os.environ.get("SALUR_SOURCE_TOKEN")
    return tuple(dict.fromkeys([*([given] if given else []), *map(str, known.values())]))

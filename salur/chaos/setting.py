"""The two stacks of a run: the same keys, names and bank, one left alone, the other behind proxies."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from salur.chaos.faults import SESSION_TIMEOUT_S
from salur.chaos.links import INSTANCES, MONITOR, SERVICES, every_link
from salur.chaos.programs import TABLE, ports_of
from salur.chaos.proxy import Proxies
from salur.stack.control import Request, Watcher, down, up
from salur.stack.credentials import credentials
from salur.stack.home import Home, write_private
from salur.stack.programs import FLOW_TABLE
from salur.stack.state import Wanted
from services.payout.configuration import BANKS
from shared.errors import SalurError
from shared.privacy import keyfile

UP_WITHIN_S: Final = 180.0
_MARK: Final = "chaos.json"
_BANK: Final = {"window-s": "9", "timestamp-tolerance-s": "3", "late-s": "3", "hang-s": "8"}
_BANK_TIMES: Final = {
    "window_s": 10,
    "timestamp_tolerance_s": 3,
    "call_timeout_s": 5,
    "first_inquiry_after_s": 0.5,
    "inquiry_pause_max_s": 5,
    "resend_after_s": 0.5,
}
"""A bank that makes up its mind sooner than banks do: what a fault leaves unknown is not waited for so long."""
_PROMPT: Final = {
    "bank": {"delayed": "0", "timeout": "0", "late": "0", "cut": "0"},
    "carrier": {"timeout": "0", "trouble": "0", "pace": "0.2"},
}
"""Who answers at once refuses the same: what becomes of everybody follows from other dice than how long it takes."""
_SERVICE: Final = {
    "session_timeout_ms": f"{SESSION_TIMEOUT_S * 1000:.0f}",
    "transaction_timeout_ms": f"{SESSION_TIMEOUT_S * 1000 - 1000:.0f}",
}
_NOTIFY: Final = {"carrier_timeout_s": "4", "quiet_time_s": "1"}
_MONITOR: Final = {"alert_every_s": "2"}


class NotAChaosRun(SalurError):
    """The folder holds something else."""


class Places(NamedTuple):
    """The folders of one run."""

    root: Path

    @property
    def population(self) -> Path:
        return self.root / "population"

    @property
    def undisturbed(self) -> Home:
        return Home.at(self.root / "undisturbed")

    @property
    def disturbed(self) -> Home:
        return Home.at(self.root / "disturbed")

    @property
    def faults(self) -> Path:
        return self.root / "faults.jsonl"

    @property
    def outcome(self) -> Path:
        return self.root / "outcome.json"

    @property
    def story(self) -> Path:
        return self.root / "story.txt"


def begin(root: Path, **about: int) -> Places:
    """An empty folder with two homes that have the same keys and secrets. Clears a former run. Raises NotAChaosRun."""
    places = Places(root)
    if root.exists() and any(root.iterdir()):
        if not (root / _MARK).exists():
            raise NotAChaosRun(f"{root} holds something else than a chaos run", hint="give another --home")
        for home in (places.undisturbed, places.disturbed):
            down(home)
        shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / _MARK).write_text(json.dumps(about), encoding="utf-8")
    first, second = places.undisturbed, places.disturbed
    for home in (first, second):
        home.make()
    keyfile.ensure(first.keys)
    credentials(first.secrets)
    for name in (first.keys.name, first.secrets.name):
        write_private(second.root / name, (first.root / name).read_text(encoding="utf-8"))
    return places


def quiet(places: Places, seed: int) -> Request:
    """One instance of each stage, no monitor, no proxies, and an outside world that answers at once."""
    options = _options(places, seed)
    del options[MONITOR]
    for name, answers in _PROMPT.items():
        options[name] |= answers
    return Request(options=options, table=FLOW_TABLE)


def stormy(places: Places, seed: int, brokers: int) -> Request:
    """Two instances of each service, each connection through a proxy."""
    scale = dict.fromkeys(SERVICES, INSTANCES)
    return Request(scale=scale, options=_options(places, seed), table=TABLE, brokers=brokers)


def open_proxies(proxies: Proxies, home: Home, brokers: int) -> None:
    """All of them, before anything connects through them."""
    ports = ports_of(home)
    for link in every_link(brokers):
        target = link.target_name
        proxies.open(link.name, ports.port(link.port_name), partial(ports.port, target))


@contextmanager
def stack(home: Home, request: Request, watching: Callable[[], AbstractContextManager[Watcher]]) -> Iterator[None]:
    """The stack runs within the block, and is stopped after it; `watching` hears how it starts.

    Raises what `up` raises.
    """
    _only(home)
    try:
        with watching() as watcher:
            up(home, request, timeout_s=UP_WITHIN_S, watcher=watcher)
        yield
    finally:
        down(home)


def leave(places: Places, *, good: bool) -> None:
    """After a good run nothing but its log is kept; after another one the data, which `salur up` can start again."""
    if good:
        for folder in (places.undisturbed.root, places.disturbed.root, places.population):
            shutil.rmtree(folder, ignore_errors=True)
        return
    for home in (places.undisturbed, places.disturbed):
        if wanted := Wanted.load(home.wanted):
            wanted.model_copy(update={"table": Wanted().table}).save(home.wanted)


def _only(home: Home) -> None:
    """What the environment says of other stacks does not count, here and in every process that is started."""
    for name in [name for name in os.environ if name.startswith("SALUR_")]:
        del os.environ[name]
    os.environ["SALUR_HOME"] = str(home.root)


def _options(places: Places, seed: int) -> dict[str, dict[str, str]]:
    options = {service: dict(_SERVICE) for service in (*SERVICES, MONITOR)}
    options["payout"]["payout_banks"] = str(_banks_file(places))
    options["notify"] |= _NOTIFY
    options[MONITOR] |= _MONITOR
    options["bank"] = {"seed": str(seed), **_BANK}
    options["carrier"] = {"seed": str(seed)}
    return options


def _banks_file(places: Places) -> Path:
    """The payout service's banks with the times of this run."""
    path = places.root / "banks.yaml"
    known = yaml.safe_load(BANKS.read_text(encoding="utf-8"))
    for bank in known["banks"].values():
        bank.update(_BANK_TIMES)
    path.write_text(yaml.safe_dump(known), encoding="utf-8")
    return path

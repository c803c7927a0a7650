"""Where a stage's CPU goes while the flow runs at its best: a flame graph of each stage.

py-spy looks at the processes from outside, a hundred times a second, for as long as `SECONDS`; what it costs them makes
a run with it one that measures nothing else. It is installed with the baselines (`make .venv/baselines/filled`).
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from salur.stack.home import Home
from salur.stack.state import State
from shared.errors import SalurError

PY_SPY = Path(".venv/baselines/bin/py-spy")
STAGES = ("registry", "eligibility", "payout")
SECONDS = 15
A_SECOND = 100


def installed() -> bool:
    return PY_SPY.exists()


@contextmanager
def drawn(home: Home, folder: Path | None) -> Iterator[None]:
    """FOLDER/STAGE.svg of the first SECONDS of the block, which lasts as long at least. Nothing without a folder.

    Only threads that hold Python's lock are counted: what waits for Kafka or PostgreSQL is none of the stage's CPU.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    pids = {record.name: record.pid for record in (State.load(home.state) or State()).processes}
    watching = [_watched(pids[stage], folder / f"{stage}.svg") for stage in STAGES]
    try:
        yield
    finally:
        failed = [one.args for one in watching if one.wait()]
    if failed:
        raise SalurError(f"py-spy could not look at {len(failed)} of {len(STAGES)} stages", hint="may it trace others?")


def _watched(pid: int | None, svg: Path) -> "subprocess.Popen[bytes]":
    argv = [str(PY_SPY), "record", "--pid", str(pid), "--duration", str(SECONDS), "--rate", str(A_SECOND), "--gil"]
    return subprocess.Popen(
        [*argv, "--function", "--output", str(svg)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

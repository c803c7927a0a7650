"""One demo of 1,000 families, run as its user runs it; its stack stays up for the tests that look at it.

SALUR_TEST_DEMO=HOME: they look at a demo that is up already, of any size, and leave it up.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from shared.privacy import keyfile
from tests.stack import new_home

FAMILIES, SEED = 1000, 7


@dataclass(frozen=True)
class Demo:
    """A demo's stack and what it printed."""

    home: Path
    exit_code: int
    output: str

    def salur(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        return salur(self.home, *arguments, given=given)

    @cached_property
    def first_report(self) -> dict[str, Any]:
        """The report as it was when it was first asked for."""
        return self.report()

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.salur("report", "--json").stdout)
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.salur("status", "--json").stdout)
        return found

    def environment(self) -> dict[str, str]:
        from salur.stack.home import Home
        from salur.stack.status import environment

        return environment(Home.at(self.home))


def salur_environment(home: Path) -> dict[str, str]:
    """The stack of these tests is always an own, embedded one; only its keys are given, so that two runs can be
    compared: references at the bank follow from recipients' ids, and those from the identity key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SALUR_")}
    keys = home.with_name(home.name + "-keys.json")
    every_day = ",".join(map(str, range(1, 32)))  # every day is like the first of a month: an edition is due beside it
    own = {} if _given() else {"SALUR_KEYS": str(keys), "SALUR_FIGURES_DAYS": every_day}
    return kept | {"SALUR_HOME": str(home)} | own


def _given() -> Path | None:
    home = os.environ.get("SALUR_TEST_DEMO")
    return Path(home).resolve() if home else None


def salur(
    home: Path, *arguments: str, given: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "salur", *arguments],
        env=salur_environment(home) | environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=480,
    )


@pytest.fixture(scope="package")
def demo() -> Iterator[Demo]:
    if given := _given():
        yield Demo(given, 0, "")
        return
    home = new_home() / "demo"
    keyfile.create(Path(salur_environment(home)["SALUR_KEYS"]))
    try:
        elsewhere = str(home.with_name("elsewhere"))  # what is given on the command line counts
        asked = ("--families", str(FAMILIES), "--seed", str(SEED), "--home", str(home))
        ran = salur(home, "demo", *asked, SALUR_HOME=elsewhere)
        yield Demo(home, ran.returncode, ran.stdout + ran.stderr)
    finally:
        salur(home, "down")

"""Twenty faults, one of every kind at least, change nothing but times: the run of `salur chaos` on a small flow."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from salur.chaos.faults import Kind
from salur.report.make import ORDER
from tests.stack import new_home

FAMILIES, FAULTS, SEED = 100, 20, 18118
KILLED = {"registry", "eligibility", "payout", "notify", "portal", "monitor", "bank", "carrier", "postgres", "kafka"}
"""With this seed everything is killed once at least, and lines to Kafka are cut, which always carry something."""
WITHIN_S = 420

Run = tuple[int, dict[str, Any], list[dict[str, Any]], str]


@pytest.fixture(scope="module")
def run() -> Run:
    """Exit code, outcome, fault log, and what was told beside them."""
    home = new_home() / "chaos"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SALUR_")}
    asked = ["--families", str(FAMILIES), "--faults", str(FAULTS), "--seed", str(SEED), "--home", str(home), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "salur", "chaos", *asked],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        shown, told = process.communicate(timeout=WITHIN_S)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # it stops its stacks
            process.communicate(timeout=90)
    assert shown, told[-6000:]
    return process.returncode, json.loads(shown), faults(home), told


def faults(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "faults.jsonl").read_text().splitlines()]


def test_every_invariant_holds_and_both_runs_end_alike(run: Run) -> None:
    exit_code, outcome, _, told = run
    assert outcome["wrong"] == [], told[-8000:]
    assert outcome["invariants"] == dict.fromkeys(ORDER, 0)
    assert exit_code == 0


def test_all_faults_happened_and_stand_in_the_log(run: Run) -> None:
    _, outcome, log, _ = run
    assert outcome["missed"] == 0
    assert set(outcome["injected"]) == set(Kind)
    assert sum(outcome["injected"].values()) == FAULTS
    assert {line["victim"].rpartition("-")[0] for line in log if line["kind"].startswith("kill")} == KILLED
    assert sorted(line["number"] for line in log) == list(range(1, FAULTS + 1))
    assert outcome["restarts"] >= sum(times for kind, times in outcome["injected"].items() if kind.startswith("kill"))
    assert outcome["connections_broken"] > 0


def test_everybody_was_compared_with_the_undisturbed_run(run: Run) -> None:
    _, outcome, _, _ = run
    compared = outcome["compared"]
    assert outcome["recipients"] == compared["registered"] > 0.8 * FAMILIES
    assert compared["submission"] > FAMILIES
    assert compared["decision"] > 2.5 * (outcome["recipients"] - outcome["by_family"])
    assert outcome["by_family"] < 0.2 * outcome["recipients"]
    for thing in ("payout", "ledger", "bank's books", "message", "told"):
        assert compared[thing] > FAMILIES / 2, thing


def test_the_monitor_counted_every_event_of_the_stages(run: Run) -> None:
    _, outcome, _, _ = run
    assert 5 * FAMILIES < outcome["watched"] <= outcome["events"]


def test_all_poison_came_to_its_end(run: Run) -> None:
    _, outcome, _, _ = run
    poison = outcome["poison"]
    assert 0 < poison["injected"] <= poison["on_topics"]
    assert poison["dead"] + poison["rejected"] >= poison["injected"]

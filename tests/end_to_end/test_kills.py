"""`kill -9` of any one process in the middle of the demo changes nothing in the report but times."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import FAMILIES, SEED, Demo, salur, salur_environment

VICTIMS = ("registry", "bank", "eligibility", "postgres", "payout", "kafka", "notify")


def test_kills_change_nothing_in_the_report(demo: Demo) -> None:
    """The same families, the same keys: one run was left alone, in the other every process is killed once."""
    undisturbed = essence(json.loads(demo.salur("report", "--json").stdout))
    home = demo.home.with_name("killed")
    shutil.copy(salur_environment(demo.home)["SALUR_KEYS"], salur_environment(home)["SALUR_KEYS"])
    arguments = [sys.executable, "-m", "salur", "demo", "--families", str(FAMILIES), "--seed", str(SEED)]
    running = subprocess.Popen(
        arguments, env=salur_environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        killed = [victim for victim in VICTIMS if kill(home, victim, running)]
        output, _ = running.communicate(timeout=480)
        assert running.returncode == 0, output[-4000:]
        assert len(killed) >= 5, f"only {killed} were there to be killed"
        assert essence(json.loads(salur(home, "report", "--json").stdout)) == undisturbed
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGINT)
            running.wait(60)
        salur(home, "down")


def kill(home: Path, victim: str, running: subprocess.Popen[str]) -> bool:
    """Kills the process once the flow is moving; False when the demo ended before."""
    while running.poll() is None:
        time.sleep(1.0)
        process = next((p for p in processes(home) if p["name"] == victim), None)
        if process and process["pid"] and process["state"] == "ready" and moving(home):
            os.kill(process["pid"], signal.SIGKILL)
            return True
    return False


def processes(home: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads((home / "state.json").read_text())["processes"]
    except (OSError, ValueError):
        return []
    return found


def moving(home: Path) -> bool:
    """Whether the flags' results are there: from then on the families are under way."""
    return (home / "demo" / "flags.results.csv").exists()


def essence(report: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on when things happened.

    Who of a family registered first, and which of two submissions of one NIK came first, is a matter of time even in
    two runs that nobody disturbs. So a payee's account may be another member's, and those who wait in the ranked cycle
    may be others of the same decile: outcomes are compared as sums there, everything else to the last recipient.
    """
    funnel = report["funnel"]
    counted = ("programme", "decided", "eligible", "eligible_idr", "ineligible_by_reason", "not_yet_considered")
    return {
        "broken": [i["name"] for i in report["invariants"] if i["broken"] != 0],
        "people": {name: funnel[name] for name in ("recipients", "families", "flagged", "eligible")},
        "submissions": [
            {name: s[name] for name in ("kind", "sent", "answered", "waiting", "dead", "rejected_by_code")}
            for s in funnel["submissions"]
        ],
        "programmes": [{name: p[name] for name in counted} for p in funnel["programmes"]],
        "ended": {p["programme"]: p["confirmed"] + p["failed"] + p["queued"] for p in funnel["programmes"]},
        "open": {p["programme"]: p["ordered"] + p["at_the_bank"] for p in funnel["programmes"]},
        "defects": [
            {name: d[name] for name in ("defect", "planted", "found", "missed", "false_alarm")}
            for d in report["defects"]["classes"]
        ],
    }

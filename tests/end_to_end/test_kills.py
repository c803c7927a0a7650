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
        output, _ = running.communicate(timeout=280)
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
    """What must not depend on when things happened: everybody's fate, every rupiah, every defect."""
    cycles = [{k: v for k, v in c.items() if not k.endswith("_at")} for c in report["money"]["cycles"]]
    return {
        "broken": [i["name"] for i in report["invariants"] if i["broken"]],
        "funnel": report["funnel"],
        "defects": report["defects"],
        "cycles": cycles,
    }

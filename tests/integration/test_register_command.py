"""A file goes in by the command line and every row comes back answered, also when it is sent again and again.

The registry runs as its own process on its own Kafka (its topics must hold nothing of other tests).
"""

import asyncio
import csv
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner

from salur.commands import flag, register
from salur.intake import Options, Summary, find_kafka, find_upstream, submit
from salur.intake.kinds import FLAGS, REGISTRATIONS, Kind
from salur.stack.credentials import credentials, sources_file
from salur.stack.home import Home
from salur.stack.kafka import EmbeddedKafka
from salur.stack.ports import PortBook
from shared.privacy import keyfile
from tests.integration.registry_desk import RIGHT, nik_of
from tests.stack import drop_database, fresh_database, new_home

COLUMNS = (*REGISTRATIONS.required, *REGISTRATIONS.optional)


@pytest.fixture(scope="module")
def own_home() -> Iterator[Path]:
    home = new_home()
    at = Home.at(home)
    sources_file(at, credentials(at.secrets))
    keyfile.create(home / "keys.json")
    kafka = EmbeddedKafka(home)
    kafka.start()
    yield home
    kafka.stop()


@pytest.fixture(scope="module")
async def registry(own_home: Path, postgres: str) -> AsyncIterator[Path]:
    """The home of a registry that runs."""
    database, port = await fresh_database(postgres), PortBook(own_home / "ports.json").claim("registry-0")
    environment = {
        **os.environ,
        "SALUR_HOME": str(own_home),
        "SALUR_KAFKA": EmbeddedKafka(own_home).address,
        "SALUR_POSTGRES": database,
        "SALUR_KEYS": str(own_home / "keys.json"),
        "SALUR_SOURCES": str(own_home / "sources.json"),
        "SALUR_HTTP_PORT": str(port),
    }
    with (own_home / "registry.log").open("wb") as log:
        argv = [sys.executable, "-m", "services.registry"]
        process = await asyncio.create_subprocess_exec(
            *argv, env=environment, stderr=log, cwd=Path(__file__).parents[2]
        )
    until = time.monotonic() + 60
    while b"assigned" not in (own_home / "registry.log").read_bytes():
        assert process.returncode is None, (own_home / "registry.log").read_text()[-2000:]
        assert time.monotonic() < until, (own_home / "registry.log").read_text()[-2000:]
        await asyncio.sleep(0.2)
    yield own_home
    process.terminate()
    await asyncio.wait_for(process.wait(), 20)
    await drop_database(database)


def write(path: Path, rows: list[dict[str, Any]], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(serial: int, **changes: Any) -> dict[str, Any]:
    account = {f"account_{part}": value for part, value in RIGHT["account"].items()}
    cells = {name: value for name, value in RIGHT.items() if name != "account"}
    return {**cells, **account, "members": json.dumps(RIGHT["members"]), "nik": nik_of(serial), **changes}


async def send(home: Path, file: Path, kind: Kind = REGISTRATIONS, source: str = "polman", **options: Any) -> Summary:
    at = Home.at(home)
    kafka = find_kafka(at).model_copy(update={"kafka": str(EmbeddedKafka(home).address)})
    return await submit(file, kind, find_upstream(at, source), kafka, Options(**{"timeout_s": 20, **options}))


def results(file: Path) -> list[dict[str, str]]:
    with file.with_suffix(".results.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


async def test_every_row_is_answered_and_sending_again_changes_nothing(registry: Path, tmp_path: Path) -> None:
    rows = [row(serial) for serial in range(1, 301)]
    rows[9] |= {"nik": "76040157"}
    rows[19] |= {"decile": "two"}
    file = write(tmp_path / "pilot.csv", rows)
    summary = await send(registry, file)
    assert (summary.rows, summary.sent, summary.unanswered, summary.complete) == (300, 299, 0, False)
    assert summary.answers == {"not_sent": 1, "registered": 298, "rejected": 1}
    assert summary.malformed == ["pilot.csv, row 20 (line 21), column decile: This cell is not a whole number."]
    first = results(file)
    assert [first[i]["code"] for i in (9, 19)] == ["nik_format", "csv_number"]
    assert first[9]["text_id"]
    assert first[9]["text_en"]
    assert (first[0]["detail"], first[9]["recipient_id"]) == ("new", "")
    assert (await send(registry, file)).answers == summary.answers  # answers of the earlier run are found
    assert results(file) == first
    file.with_suffix(".results.csv").unlink()
    assert (await send(registry, file, results=tmp_path / "again.csv", timeout_s=2)).answers == summary.answers
    rows[0] |= {"decile": 9}
    changed = await send(registry, write(file, rows))
    assert changed.unanswered == 0
    after = results(file)
    assert (after[0]["answer"], after[0]["detail"], after[0]["submission_id"] != first[0]["submission_id"]) == (
        "registered",
        "updated",
        True,
    )
    assert after[1:] == first[1:]
    older = write(tmp_path / "older.csv", [row(1, decile=5, submitted_at="2026-01-01T00:00:00Z")])
    await send(registry, older)
    assert [(r["answer"], r["detail"], r["recipient_id"]) for r in results(older)] == [
        ("unchanged", "older", first[0]["recipient_id"])
    ]


async def test_a_large_file_is_sealed_in_processes_of_its_own(registry: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "large.csv", [row(serial, name=f"Sitti {serial}") for serial in range(1001, 3001)])
    summary = await send(registry, file)
    assert (summary.sent, summary.answers) == (2000, {"registered": 2000})


async def test_flags_are_sent_by_whoever_may(registry: Path, tmp_path: Path) -> None:
    flags = [{"nik": nik_of(s), "flag": "deceased", "since": "2026-01-01", "raised": "true"} for s in range(1, 11)]
    file = write(tmp_path / "deaths.csv", [*flags, {**flags[0], "flag": "rich"}], FLAGS.required)
    summary = await send(registry, file, FLAGS, "dukcapil")
    assert (summary.answers, summary.complete) == ({"flagged": 10, "rejected": 1}, True)
    assert results(file)[10]["field"] == "flag"


def test_the_commands_say_what_is_wrong_and_exit_with_1(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Typer()
    register.register(app)
    flag.register(app)
    monkeypatch.setenv("SALUR_HOME", str(registry))
    monkeypatch.setenv("SALUR_KAFKA", EmbeddedKafka(registry).address)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, list(arguments))

    file = write(tmp_path / "one.csv", [row(5001), row(5002, income_idr="")])
    told = run("register", str(file), "--source", "polman", "--json", "--timeout", "20")
    summary = json.loads(told.stdout)
    assert (told.exit_code, summary["answers"]) == (1, {"not_sent": 1, "registered": 1})
    good = write(tmp_path / "two.csv", [row(5003)])
    told = run("register", str(good), "--source", "polman", "--no-wait")
    assert (told.exit_code, "1 rows sent" in told.stdout) == (0, True)
    assert "no topic registration.submitted.dukcapil" in str(
        run("register", str(good), "--source", "dukcapil").exception
    )
    assert "token of the source nobody" in str(run("register", str(good), "--source", "nobody").exception)
    missing = run("register", str(tmp_path / "none.csv"), "--source", "polman")
    assert "No such file" in str(missing.exception)

"""`salur population`: what it prints and what it refuses."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from salur.commands import population as command
from salur.population import FAMILIES_MAX
from shared.errors import SalurError


@pytest.fixture
def app() -> typer.Typer:
    found = typer.Typer()
    found.callback()(lambda: None)
    command.register(found)
    return found


def test_the_command_prints_the_summary_as_json(app: typer.Typer, tmp_path: Path) -> None:
    arguments = [
        "population",
        "--families",
        "50",
        "--seed",
        "3",
        "--out",
        str(tmp_path),
        "--reference-date",
        "2026-06-30",
    ]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary == json.loads((tmp_path / "population.json").read_bytes())
    assert (summary["families"], summary["seed"], summary["reference_date"]) == (50, 3, "2026-06-30")
    assert CliRunner().invoke(app, arguments).exit_code == 0


@pytest.mark.parametrize("families", ["0", "-1", str(FAMILIES_MAX + 1), "many"])
def test_the_command_refuses_numbers_out_of_range(app: typer.Typer, tmp_path: Path, families: str) -> None:
    result = CliRunner().invoke(app, ["population", "--families", families, "--out", str(tmp_path / "no")])
    assert result.exit_code == 2
    assert not (tmp_path / "no").exists()


def test_the_command_refuses_a_reference_date_that_no_nik_can_hold(app: typer.Typer, tmp_path: Path) -> None:
    arguments = ["population", "--families", "5", "--out", str(tmp_path / "no"), "--reference-date", "1850-01-01"]
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert not (tmp_path / "no").exists()


def test_the_command_says_what_is_wrong_with_the_folder(app: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = CliRunner().invoke(app, ["population", "--families", "5", "--out", str(tmp_path / "file" / "below")])
    assert isinstance(result.exception, SalurError)
    assert "Not a directory" in result.exception.message

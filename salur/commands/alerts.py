"""`salur alerts`: what the monitor says is wrong now, and what was."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from salur.console import print_json
from salur.inside.connect import database, resolve
from salur.inside.options import HomeOption, JsonOption, printer, run
from services.monitor import store

_COLOURS = {"critical": "red", "warning": "yellow", "info": "blue"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("alerts")(alerts)


def alerts(
    past: Annotated[int, typer.Option(min=0, help="How many that are over to show, too.")] = 10,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the alerts that stand, with where to look and what to do, and the last that are over.

    Exits 1 when a critical one stands.
    """
    found = run(_alerts(home, past))
    if as_json:
        print_json(found)
    else:
        _show(found)
    raise typer.Exit(1 if any(a["cleared_at"] is None and a["level"] == "critical" for a in found) else 0)


async def _alerts(home: Path | None, past: int) -> list[dict[str, Any]]:
    async with database(resolve(home), "monitor") as connection:
        rows = await store.alerts(connection, past=past)
    return [{**_plain(dict(row)), "advice": json.loads(row["advice"])} for row in rows]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: v.isoformat() if isinstance(v, datetime) else v for name, v in row.items()}


def _show(found: list[dict[str, Any]]) -> None:
    console = printer()
    standing = [alert for alert in found if alert["cleared_at"] is None]
    if not standing:
        console.print("No alert stands.")
    for alert in standing:
        advice, colour = alert["advice"], _COLOURS[alert["level"]]
        console.print(
            f"[{colour}]{alert['level']}[/{colour}] [bold]{alert['rule']}[/bold] since {_time(alert['since'])}"
        )
        for part in ("what", "look", "do"):
            console.print(f"  {advice[part]['en']}", soft_wrap=True)
        console.print(f"  {alert['runbook']}", style="dim")
    if over := [alert for alert in found if alert["cleared_at"] is not None]:
        table = Table("over", "about", "level", "raised", "cleared", box=None)
        for alert in over:
            table.add_row(
                alert["rule"], alert["about"], alert["level"], _time(alert["raised_at"]), _time(alert["cleared_at"])
            )
        console.print(table)


def _time(text: str) -> str:
    return text[:19].replace("T", " ")

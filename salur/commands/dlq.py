"""`salur dlq`: look at what services could not process, and put it back once the cause is mended."""

import json
import os
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.table import Table

from salur.console import print_json
from salur.inside.connect import Settings, consumer, resolve
from salur.inside.dead_letters import find
from salur.inside.options import HomeOption, JsonOption, one_of, printer, run
from salur.inside.replay import replay
from shared import clock
from shared.events.topics import STAGES, Service
from shared.privacy.bodies import masked_body
from shared.runtime.letters import Letter, Replay, body_of, letters, replays
from shared.runtime.replay import Outcome

app = typer.Typer(no_args_is_help=True, help="Dead letters: what services could not process.")


def register(parent: typer.Typer) -> None:
    """Adds this module's commands."""
    parent.add_typer(app, name="dlq")


@app.command("list")
def list_command(
    service: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only of this service.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that were not put back.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters with origin, code and reason."""
    wanted = cast("list[Service]", one_of(service or list(STAGES), STAGES, "--service"))
    found = [(letter, back) for letter, back in run(_listed(resolve(home), wanted)) if not (waiting and back)]
    if as_json:
        print_json([_as_json(letter, back) for letter, back in found])
        return
    console = printer()
    if not found:
        console.print("No dead letters.")
        return
    table = Table("id", "service", "when", "origin", "code", "reason", "put back", box=None)
    for letter, back in found:
        table.add_row(
            letter.id,
            letter.service,
            f"{letter.at:%Y-%m-%d %H:%M:%S}",
            letter.origin,
            letter.data.code,
            letter.data.reason,
            f"{back.at:%Y-%m-%d %H:%M} by {back.by}" if back else "-",
        )
    console.print(table)


@app.command("show")
def show_command(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="Or its first 8 characters and more.")],
    reveal: Annotated[bool, typer.Option("--open", help="The body as it is; needs --reason, and is logged.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why somebody's data must be seen.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter and its body; all texts but those of the envelope are masked."""
    if reveal and not (reason and reason.strip()):
        raise typer.BadParameter("--open needs a --reason", param_hint="--reason")
    settings = resolve(home)
    letter, body, back = run(_shown(settings, letter_id))
    if reveal:
        _write_down(home, letter, cast("str", reason))
    text = body.decode("utf-8", "backslashreplace") if reveal else masked_body(body)
    if as_json:
        print_json(_as_json(letter, back) | {"body": text, "masked": not reveal})
        return
    console = printer()
    for name, value in _as_json(letter, back).items():
        console.print(f"{name:<12} {value}", highlight=False, markup=False)
    console.print(_pretty(text), highlight=False, markup=False, soft_wrap=True)


@app.command("replay")
def replay_command(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]…")] = None,
    service: Annotated[list[str] | None, typer.Option(metavar="NAME", help="All of this service.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of all services.")] = False,
    by: Annotated[str, typer.Option(help="Who puts them back; stands on the message.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Also what was put back before.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put dead letters back to the service that could not process them. Exits 1 if one could not be put back."""
    if not by.strip():
        raise typer.BadParameter("say who puts them back", param_hint="--by")
    if sum(map(bool, (ids, service, everything))) != 1:
        raise typer.BadParameter("give IDs, or --service, or --all", param_hint="ID")
    services = list(STAGES) if everything else one_of(service or [], STAGES, "--service")
    settings = resolve(home)
    keyring = settings.keyring("recovery")
    outcomes = run(
        replay(settings, keyring, ids=ids or (), services=cast("list[Service]", services), by=by.strip(), again=again)
    )
    if as_json:
        print_json([outcome._asdict() for outcome in outcomes])
    else:
        _show_outcomes(outcomes)
    raise typer.Exit(0 if all(outcome.done for outcome in outcomes) else 1)


async def _listed(settings: Settings, services: list[Service]) -> list[tuple[Letter, Replay | None]]:
    found: list[tuple[Letter, Replay | None]] = []
    async with consumer(settings) as client:
        for service in services:
            back = await replays(client, settings, service)
            async for letter in letters(client, settings, service):
                slim = letter._replace(data=letter.data.model_copy(update={"body": None}))
                found.append((slim, back.get(letter.id)))
    return sorted(found, key=lambda one: one[0].at)


async def _shown(settings: Settings, letter_id: str) -> tuple[Letter, bytes, Replay | None]:
    keyring = settings.keyring("recovery")
    async with consumer(settings) as client:
        letter = (await find(client, settings, [letter_id]))[letter_id]
        back = (await replays(client, settings, letter.service)).get(letter.id)
        return letter, await body_of(client, letter, keyring), back


def _as_json(letter: Letter, back: Replay | None) -> dict[str, Any]:
    return {
        "id": letter.id,
        "service": letter.service,
        "at": letter.at.isoformat(),
        "origin": letter.origin,
        "recipient": letter.recipient,
        "code": letter.data.code,
        "reason": letter.data.reason,
        "body_bytes": letter.data.body_bytes,
        "replayed_at": back.at.isoformat() if back else None,
        "replayed_by": back.by if back else None,
    }


def _write_down(home: Path | None, letter: Letter, reason: str) -> None:
    """Who saw what and why: a person may ask (UU 27/2022)."""
    path = Path(home or os.environ.get("SALUR_HOME") or ".salur") / "openings.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    line = {
        "at": clock.now().isoformat(),
        "by": getuser(),
        "what": "dead letter",
        "id": letter.id,
        "recipient": letter.recipient,
        "reason": reason,
    }
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def _show_outcomes(outcomes: list[Outcome]) -> None:
    console = printer()
    if not outcomes:
        console.print("There are no dead letters.")
    for outcome in outcomes:
        colour = {"replayed": "green", "already": "yellow"}.get(outcome.state, "red")
        console.print(
            f"[{colour}]{outcome.state}[/]  {outcome.service} {outcome.id}  {outcome.detail}", highlight=False
        )

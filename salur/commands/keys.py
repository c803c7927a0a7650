"""`salur keys`: see, renew, hand out and destroy the keys that personal data is sealed with."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from salur.commands.reseal import reseal_command
from salur.inside.connect import resolve
from salur.inside.dead_letters import waiting_under
from salur.inside.dependents import count_dependents
from shared import clock
from shared.errors import KeyInUse, SalurError
from shared.privacy import keyfile
from shared.privacy.keyring import Keyring, default_path
from shared.privacy.keys import KINDS, SHARES, Kind, states

app = typer.Typer(
    no_args_is_help=True, help="Keys of personal data: list, rotate, reseal, destroy, and parts for services."
)
app.command("reseal")(reseal_command)

KeyPath = Annotated[Path | None, typer.Option("--keys", help="The main key file; default SALUR_KEYS.", dir_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(parent: typer.Typer) -> None:
    """Add the commands to `parent`."""
    parent.add_typer(app, name="keys")


@app.command("list")
def list_keys(keys: KeyPath = None, json: AsJson = False) -> None:
    """Every key with its state and period. Never shows a key itself."""
    now = clock.now()
    lines = states(keyfile.read(keys or default_path()), now)
    if json:
        _print_json([line._asdict() | {"overdue": bool(line.due and line.due < now)} for line in lines])
        return
    table = Table("key", "kind", "state", "seals from", "until", "note")
    for line in lines:
        note = ""
        if line.due:
            note = f"{'due since' if line.due < now else 'due'} {line.due:%Y-%m-%d}"
        elif line.destroyed_at:
            note = f"destroyed {line.destroyed_at:%Y-%m-%d %H:%M}"
        table.add_row(line.id, line.kind, line.state, _when(line.not_before), _when(line.retired), note)
    Console().print(table)


@app.command()
def rotate(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.")],
    keys: KeyPath = None,
    active_in_s: Annotated[
        float, typer.Option("--active-in", min=0, help="Seconds until it seals: time for copies to reach machines.")
    ] = 10.0,
    json: AsJson = False,
) -> None:
    """Make the next key of a kind. It seals from then on; older keys still open what they sealed."""
    now = clock.now()
    key_id = keyfile.rotate(keys or default_path(), _kind(kind), active_in_s=active_in_s, now=now)
    if json:
        _print_json({"key_id": key_id, "kind": kind, "active_in_s": active_in_s})
    else:
        typer.echo(f"{key_id} seals for {kind} in {active_in_s:g} s; running services take it by themselves")


@app.command()
def destroy(
    key_id: Annotated[str, typer.Argument(metavar="KEYID", help="As `salur keys list` shows it.")],
    keys: KeyPath = None,
    yes: Annotated[bool, typer.Option("--yes", help="Needed: nothing brings a key back.")] = False,
    lose_letters: Annotated[
        bool, typer.Option("--lose-dead-letters", help="Also where dead letters that wait are lost with it.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Destroy a retired key: what it sealed is erased everywhere, for good.

    Refused while current rows depend on it, or dead letters that nobody has put back.
    """
    path = keys or default_path()
    kind, _ = keyfile.find(keyfile.read(path), key_id)
    if not yes:
        raise SalurError(f"{key_id} ({kind}) would be destroyed for good", hint="say it with --yes")

    def in_use(key: str) -> Mapping[str, int]:
        if kind in ("recovery", "submission") and not lose_letters:
            _refuse_to_lose_letters(kind, key)
        return asyncio.run(count_dependents(kind, key))

    tombstone = keyfile.destroy(path, key_id, in_use=in_use)
    if json:
        _print_json(tombstone.model_dump())
    else:
        typer.echo(f"{key_id} is destroyed. Destroy its copies in backups of the key file too.")


@app.command()
def create(keys: KeyPath = None) -> None:
    """Make a main key file with a key of every kind. Never overwrites one."""
    path = keys or default_path()
    keyfile.create(path)
    typer.echo(f"{path} is made. Whoever has it can read everything; without it nothing can be read: keep it safe.")


@app.command()
def narrow(
    shares: Annotated[list[str], typer.Argument(help=f"What the service needs, of {', '.join(SHARES)}.")],
    out: Annotated[Path, typer.Option("--out", help="Where the part is written.", dir_okay=False)],
    keys: KeyPath = None,
) -> None:
    """Write the part of the key file that one service needs; it is renewed whenever the main file changes."""
    keyfile.narrow(keys or default_path(), shares, out)
    typer.echo(f"{out} holds {', '.join(shares)}")


@app.command()
def public(keys: KeyPath = None) -> None:
    """Print the public key document, for sources that cannot fetch it."""
    document = Keyring.load(keys or default_path(), only={"submission"}).public_keys()
    typer.echo(document.model_dump_json(indent=1))


def _refuse_to_lose_letters(kind: Kind, key_id: str) -> None:
    """Dead letters are kept for ever, and are the only place where what could not be processed still is.

    Raises KeyInUse, and Away where Kafka does not answer.
    """
    waiting = asyncio.run(waiting_under(resolve(), kind, key_id))
    if waiting:
        listed = ", ".join(f"{service} {count:,}" for service, count in waiting.items())
        raise KeyInUse(
            f"dead letters that were not put back may be lost with key {key_id}: {listed}",
            hint="`salur dlq list --waiting` shows them, `salur dlq replay` puts them back; --lose-dead-letters gives "
            "them up",
        )


def _kind(text: str) -> Kind:
    for kind in KINDS:
        if kind == text:
            return kind
    raise SalurError(f"there are no {text} keys to rotate", hint=f"these rotate: {', '.join(KINDS)}")


def _when(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""


def _print_json(value: Any) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())

"""`salur audit`: verify topics and rows, make signed checkpoints, and print the key that checks them."""

import os
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer
from rich.console import Console

from salur.console import print_json, say
from salur.inside.audit import AuditResult, Since, verify
from salur.inside.audit import checkpoint as checkpoints
from salur.inside.audit.heads import make
from salur.inside.audit.show import bars, show
from salur.inside.audit.signing import FILE_NAME, SigningKey, ensure, pem, public_key, raw
from salur.inside.connect import resolve
from salur.inside.options import HomeOption, JsonOption, one_of, printer, run
from salur.stack.home import Home
from shared.events.topics import OWNERS, Service

app = typer.Typer(no_args_is_help=True, help="Prove that topics and databases say what was written.")

KEY_VARIABLE: Final = "SALUR_AUDIT_KEY"
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key", dir_okay=False, help=f"The signing key, made on first use [{KEY_VARIABLE}, HOME/{FILE_NAME}]."
    ),
]


def register(parent: typer.Typer) -> None:
    """Adds this module's commands."""
    parent.add_typer(app, name="audit")


@app.callback()
def audit() -> None:
    """Prove that topics and databases say what was written."""


@app.command("verify")
def verify_command(
    stages: Annotated[list[str] | None, typer.Argument(metavar="[STAGE]…", help=f"{', '.join(OWNERS)}; all.")] = None,
    events_only: Annotated[bool, typer.Option("--events-only", help="Sequences and digests, not rows.")] = False,
    since: Annotated[
        list[Path] | None,
        typer.Option(
            "--since", metavar="CHECKPOINT", dir_okay=False, help="And that all was only appended since then."
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--public-key", metavar="KEY", help="Whose checkpoints count: base64url, PEM, or a file of either."
        ),
    ] = None,
    only_new: Annotated[
        bool, typer.Option("--only-new", help="Begin at the last checkpoint; what is before it is not read again.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute sequences and digests, compare rows with events. Exits 1 and names what is wrong."""
    wanted = cast("list[Service]", one_of(stages, OWNERS, "STAGE")) if stages else None
    held = _since(since or [], key, only_new)
    settings = resolve(home)
    with bars(Console(stderr=True)) as progress:
        result = run(verify(settings, wanted, progress, rows=not events_only, since=held))
    if as_json:
        print_json(document(result))
    else:
        show(result, printer())
    raise typer.Exit(0 if result.ok else 1)


@app.command("checkpoint")
def checkpoint_command(
    out: Annotated[
        Path | None, typer.Option("--out", dir_okay=False, help="The file to write [checkpoint-TIME.json].")
    ] = None,
    after: Annotated[
        Path | None, typer.Option("--after", dir_okay=False, help="The checkpoint before, which this one follows on.")
    ] = None,
    key: KeyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign how far every topic and the ledger have come, for an auditor to keep. It only reads; the flow goes on."""
    signing = signing_key(key, home)
    previous = checkpoints.read(after, signing.public) if after else None
    settings = resolve(home)
    with bars(Console(stderr=True)) as progress:
        made = run(make(settings, signing, previous, progress))
    path = out or Path(f"checkpoint-{made.made_at[:19].replace('-', '').replace(':', '')}Z.json")
    checkpoints.write(made, path)
    events = sum(head.next_sequence for head in made.heads)
    summary = {
        "file": str(path),
        "sha256": made.sha256,
        "made_at": made.made_at,
        "previous": made.previous,
        "key": made.key,
        "public_key": raw(signing.public),
        "heads": len(made.heads),
        "events": events,
        "transfers": made.ledger.transfers,
    }
    if as_json:
        print_json(summary)
        return
    say(f"{path}: {len(made.heads):,} heads over {events:,} events, {made.ledger.transfers:,} transfers.")
    say(f"SHA-256 {made.sha256}, signed by {made.key}. Give it to the auditor; `salur audit key` shows the public key.")


@app.command("key")
def key_command(key: KeyOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Print the public key of checkpoints, to be handed to the auditor once and in person."""
    signing = signing_key(key, home)
    named = {"key": signing.id, "public_key": raw(signing.public), "pem": pem(signing.public)}
    if as_json:
        print_json(named)
    else:
        say(f"{named['key']}\n{named['public_key']}\n{named['pem'].rstrip()}")


def document(result: AuditResult) -> dict[str, Any]:
    """What `--json` prints; docs/reference/audit.md describes it."""
    totals = ("events", "rows", "gaps", "digest_mismatches", "row_mismatches", "republications")
    return {"ok": result.ok, **{name: getattr(result, name) for name in totals}, **result.model_dump(mode="json")}


def _since(files: list[Path], key: str | None, only_new: bool) -> Since:
    if not files:
        if only_new or key:
            raise typer.BadParameter("it goes with --since CHECKPOINT", param_hint="--only-new, --public-key")
        return Since()
    if not key:
        raise typer.BadParameter(
            "--since needs the public key that the auditor was given; `salur audit key` printed it",
            param_hint="--public-key",
        )
    public = public_key(key)
    return Since([checkpoints.read(file, public) for file in files], only_new)


def signing_key(path: Path | None, home: Path | None) -> SigningKey:
    """The key in the given file, else in the one that the environment names, else in the stack's own folder."""
    given = path or (Path(named) if (named := os.environ.get(KEY_VARIABLE)) else Home.at(home).root / FILE_NAME)
    key, made = ensure(given)
    if made:
        Console(stderr=True).print(f"{given} is made: the key that signs checkpoints. Keep it where no service runs.")
    return key

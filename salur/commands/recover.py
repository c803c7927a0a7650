"""`salur recover`: a service's restored database takes in what its own topics hold."""

from datetime import datetime
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from salur.console import print_json
from salur.inside.audit.show import bars
from salur.inside.options import HomeOption, JsonOption, one_of, printer, run
from salur.inside.recovering import prepare
from shared.events.topics import OWNERS, Service
from shared.runtime.recovery import Recovered, recover


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("recover")(recover_command)


def recover_command(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help=", ".join(OWNERS))],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything, say what it came to, take it back.")
    ] = False,
    restored: Annotated[
        bool, typer.Option("--restored", help="It was restored, although its topics do not show it.")
    ] = False,
    lost_at: Annotated[
        datetime | None,
        typer.Option("--lost-at", metavar="TIME", help="notify: until when the lost database can have sent messages."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a restored database up to its own topics. No instance of the service may run meanwhile.

    It is one transaction: when it is refused or interrupted, nothing has happened. Afterwards start the service.
    """
    (name,) = one_of([service], OWNERS, "SERVICE")
    if lost_at and name != "notify":
        raise typer.BadParameter("only messages cannot be asked about; it goes with notify", param_hint="--lost-at")
    until = lost_at.astimezone() if lost_at else None
    settings, importer = prepare(cast("Service", name), home, until)
    with bars(Console(stderr=True)) as progress:
        done = run(recover(settings, importer, progress, restored=restored, dry_run=dry_run))
    if as_json:
        print_json(document(done, dry_run))
    else:
        _show(done, dry_run)


def document(done: Recovered, dry_run: bool) -> dict[str, Any]:
    """What `--json` prints; docs/how-to/restore-a-backup.md describes it."""
    return {
        "service": done.service,
        "older": done.older,
        "dry_run": dry_run,
        "imported": dict(done.imported),
        "dead_letters": done.dead_letters,
        "outbox_rows_published_before": done.outbox_rows,
        "inputs_read": done.inputs,
        "told_again": dict(done.told),
        "summary": done.summary,
    }


_SENTENCES = {
    "submissions_answered": "submissions are known as answered",
    "recipients": "recipients are as they were told",
    "decisions": "decisions are as they were told",
    "cycles_approved": "cycles are open or were",
    "payouts": "payouts are where their events say",
    "lost_events_told_again": "events that were never published follow from the others, and leave now",
    "advanced_idr": "rupiah are advanced by the treasury until failures that nobody told of are known again",
    "to_ask_the_bank_about": "orders may have been sent: the bank is asked about each before anything else",
    "recipients_in_doubt": "recipients may have been paid untold: the bank is asked before more is sent to them",
    "alerts_raised": "alerts are known as raised",
    "alerts_cleared": "alerts are known as over",
    "messages_told_of": "messages are where their events say",
    "messages_unknown": "messages may have been sent: they are unknown, and are not sent again",
}


def _show(done: Recovered, dry_run: bool) -> None:
    out = printer()
    if not done.older and not done.imported and not done.summary:
        out.print(f"{done.service}: the database is not older than its topics, and nothing was changed.")
        out.print("If you know that it was restored all the same, say so with --restored.")
        return
    out.print(f"{done.service}: {sum(done.imported.values()):,} events since the backup, {done.inputs:,} inputs read.")
    for kind, count in sorted(done.imported.items()):
        out.print(f"  {count:>12,}  {kind}")
    if done.dead_letters:
        out.print(f"  {done.dead_letters:>12,}  dead letters")
    for what, count in done.summary.items():
        if count:
            out.print(f"  {count:>12,}  {_SENTENCES.get(what, what)}", soft_wrap=True)
    if dry_run:
        out.print("This was a trial: nothing was changed.")
    else:
        out.print(f"Start {done.service} now; it reads its inputs since the backup once more, without effect.")

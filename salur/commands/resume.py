"""`salur resume`: a stage that stopped by itself goes on, because a person says so."""

from typing import Annotated, cast

import typer

from salur.console import print_json
from salur.inside.connect import resolve
from salur.inside.options import HomeOption, JsonOption, one_of, printer, run
from salur.inside.resume import Resumed, resume_after_breaker, resume_at_gap
from shared.events.topics import STAGES, Service
from shared.runtime.positions import Place


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("resume")(resume)


def resume(
    service: Annotated[str, typer.Argument(metavar="SERVICE")],
    place: Annotated[str | None, typer.Argument(metavar="[TOPIC/PARTITION]", help="Stands at a sequence gap.")] = None,
    by: Annotated[str, typer.Option(help="Who decides it; kept for the audit.")] = "",
    reason: Annotated[str, typer.Option(help="Why; kept for the audit.")] = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a stage go on: over the gap at which a partition stands, or after its breaker opened.

    Before a gap is passed, find out what was lost: `salur audit verify` of the stage that writes the topic. What is
    passed over is never read again. The running service goes on within seconds.
    """
    (name,) = one_of([service], STAGES, "SERVICE")
    for option, value in (("--by", by), ("--reason", reason)):
        if not value.strip():
            raise typer.BadParameter("must be given: it is kept for the audit", param_hint=option)
    settings, who, why = resolve(home), by.strip(), reason.strip()
    stage = cast("Service", name)
    if place is None:
        done = run(resume_after_breaker(settings, stage, who, why))
    else:
        done = run(resume_at_gap(settings, stage, _place(place), who, why))
    if as_json:
        print_json(done._asdict())
    else:
        printer().print(_told(done))


def _place(text: str) -> Place:
    topic, _, partition = text.rpartition("/")
    if not topic or not partition.isdigit():
        raise typer.BadParameter(f"{text!r} is not TOPIC/PARTITION", param_hint="TOPIC/PARTITION")
    return Place(topic, int(partition))


def _told(done: Resumed) -> str:
    if done.topic is None:
        return f"{done.service}: every instance whose breaker is open goes on."
    where = f"{done.service}: {done.topic}/{done.partition}"
    if done.lost:
        return f"{where} goes on with sequence {done.next_sequence}; {done.lost} events are lost to this service."
    return f"{where} goes on behind a message without a sequence."

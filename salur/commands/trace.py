"""`salur trace`: one recipient's story through every stage."""

import re
import sys
from getpass import getpass
from typing import Annotated, cast

import typer

from salur.console import print_json
from salur.inside.connect import Settings, resolve
from salur.inside.options import HomeOption, JsonOption, NotFound, one_of, printer, run
from salur.inside.trace.phrases import Language, phrase, stage_of
from salur.inside.trace.show import show
from salur.inside.trace.standing import Rows, recipient_of, standing_of
from salur.inside.trace.story import Story, story_of
from shared.errors import SalurError

_RECIPIENT = re.compile(r"r-[0-9a-f]{32}")


def register(app: typer.Typer) -> None:
    """Adds this module's command."""
    app.command("trace")(trace_command)


def trace_command(
    who: Annotated[
        str | None, typer.Argument(metavar="RECIPIENT|REFERENCE", help="A recipient's id, or a payout's reference.")
    ] = None,
    nik_stdin: Annotated[
        bool, typer.Option("--nik-stdin", help="Read a NIK from standard input; needs the identity key.")
    ] = False,
    lang: Annotated[str, typer.Option(help="id or en.")] = "id",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what happened to one recipient, with times, causes, amounts and reasons, and where they stand now."""
    if (who is None) != nik_stdin:
        raise typer.BadParameter(
            "give a recipient's id or a payout's reference, or --nik-stdin", param_hint="RECIPIENT"
        )
    if who is not None and who.strip().isdigit():
        raise typer.BadParameter(
            "a NIK never stands on the command line, where others can read it; use --nik-stdin", param_hint="RECIPIENT"
        )
    language = cast("Language", one_of([lang], ("id", "en"), "--lang")[0])
    settings = resolve(home)
    recipient = _recipient_of_nik(settings) if nik_stdin else None
    story, standing = run(_told(settings, recipient, who))
    if as_json:
        print_json(_document(story, standing, language))
    else:
        show(printer(), story, standing, language)


def _recipient_of_nik(settings: Settings) -> str:
    keyring = settings.keyring("identity")
    nik = (getpass("NIK: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
    try:
        return keyring.recipient_id(nik)
    except ValueError:
        raise SalurError("that is no NIK: it has 16 digits", hint="one NIK on one line of standard input") from None


async def _told(settings: Settings, recipient: str | None, who: str | None) -> tuple[Story, dict[str, dict[str, Rows]]]:
    if recipient is None:
        text = (who or "").strip()
        recipient = text if _RECIPIENT.fullmatch(text) else await recipient_of(settings, text)
    story = await story_of(settings, recipient)
    standing = await standing_of(settings, recipient)
    if not story.steps and not any(rows for tables in standing.values() for rows in tables.values()):
        raise NotFound(f"nothing is known of {recipient}", hint="was it registered with this deployment's key?")
    return story, standing


def _document(story: Story, standing: dict[str, dict[str, Rows]], language: Language) -> dict[str, object]:
    steps = [
        step.model_dump(mode="json") | {"stage": stage_of(step), "sentence": phrase(step, language)}
        for step in story.steps
    ]
    return {"recipient": story.recipient, "steps": steps, "unreadable": story.unreadable, "now": standing}

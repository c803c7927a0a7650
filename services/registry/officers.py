"""Officers who register people by hand: each acts under the own token and within the own area.

All of them are the source `console`; a submission's id begins with the officer's subject, so that one officer's form
sent twice is one submission and every submission says whose it is.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from services.registry.sources import Kind, Source, Sources
from shared.errors import SalurError
from shared.officers import MayNot, Officer

CONSOLE: Final = "console"


class NeedsWiderArea(MayNot):
    """The person stands in another area. Where, and whether this officer may see it, is not told."""


class NotAsked(SalurError):
    """Officers send the fields as they are."""

    http_status = 422


def source_of(officer: Officer, kind: Kind, sources: Sources) -> Source:
    """Raises MayNot: without the role, for anything but registrations, or where no source `console` is configured."""
    officer.need("enter")
    source = sources.by_name.get(CONSOLE)
    if source is None or kind != "registration" or kind not in source.may:
        raise MayNot(
            f"officers may not submit a {kind} here",
            hint=f"a source {CONSOLE} that may submit registrations in SALUR_SOURCES lets them register",
        )
    return source


def submission_id(officer: Officer, form: str) -> str:
    """Subjects hold no slash here, whatever they hold at the issuer."""
    return f"{quote(officer.subject, safe='@:+')}/{form}"


def check_own(officer: Officer, asked: str) -> bool:
    """Whether this is a submission of the officer's own."""
    return asked.startswith(submission_id(officer, ""))


def check_standing(officer: Officer, village: str) -> None:
    """Raises NeedsWiderArea where the person who is to be registered stands outside the officer's area already.

    Else whoever knows a NIK moves its family into the own village, and its money to another account.
    """
    if not officer.covers(village):
        raise NeedsWiderArea(
            "this registration must be made by an officer of a wider area (regency or centre)",
            hint="send the person there, or the form",
        )


def check_area(officer: Officer, body: Mapping[str, Any]) -> None:
    """Raises MayNot for a village outside the officer's area, NotAsked for what is sealed or states its own time.

    Of two registrations the later holds: an officer's is from when it comes, and cannot be made the later one.
    """
    if "sealed" in body:
        raise NotAsked("sealed: an officer sends the fields as they are", hint="they are sealed here, for the registry")
    if body.get("submitted_at") is not None:
        raise NotAsked("submitted_at: an officer's registration is from when it comes", hint="leave it out")
    village = body.get("village")
    officer.need_area(village if isinstance(village, str) else "")

"""Who may propose and approve a cycle: officers by their own tokens, and officers' programs on this machine.

A programme belongs to a region, its `area` in programmes.yaml. Who approves answers for all of that region; who
proposes may also be of a regency within it. A program on the machine states who acts; an officer's token says it.
"""

import hmac
import ipaddress
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Header, Request
from pydantic import SecretStr

from services.payout.configuration import Programme
from shared.errors import SalurError
from shared.officers import Access, MayNot, Officer
from shared.officers.access import bearer, looks_signed

REGENCY = 4
"""Digits of a regency's code: below it nobody deals with cycles."""


class NotAnOfficer(SalurError):
    """The token is missing or wrong."""

    http_status = 401


class NotFromHere(SalurError):
    """An officer's program runs on the machine itself."""

    http_status = 403


class WhoActs(SalurError):
    """A program did not say who acts, or somebody stated another name than the own token's."""

    http_status = 422


def caller_with(token: SecretStr | None, access: Access | None) -> Callable[..., Coroutine[Any, Any, Officer | None]]:
    """A dependency: the officer whose token came along, or None for an officer's program on this machine.

    Without `token` no program is let in, without `access` no officer.
    """

    async def caller(request: Request, authorization: Annotated[str | None, Header()] = None) -> Officer | None:
        if access and looks_signed(bearer(authorization)):
            return await access.of(authorization)
        if request.client is None or not is_loopback(request.client.host):
            raise NotFromHere(
                "a program handles cycles on the machine that runs the payout service",
                hint="from elsewhere an officer's own access token is needed",
            )
        expected = f"Bearer {token.get_secret_value()}" if token else ""
        if not token or not hmac.compare_digest((authorization or "").encode(), expected.encode()):
            raise NotAnOfficer("the officer's token is missing or wrong", hint="set SALUR_OFFICER_TOKEN")
        return None

    return caller


def acting(caller: Officer | None, stated: str | None) -> str:
    """Under which name an act stands in the events. Raises WhoActs."""
    if caller is None:
        if stated is None:
            raise WhoActs("by: it is not said who acts", hint="an officer's program states the officer's name")
        return stated
    if stated is not None:
        raise WhoActs("by: an officer acts under the own token's name", hint="leave `by` out")
    return caller.signature


def check_may_propose(officer: Officer | None, programme: Programme) -> None:
    """Raises MayNot."""
    if officer is None:
        return
    officer.need("enter")
    _check_level(officer)
    if not officer.covers(programme.area) and not officer.area.startswith(programme.area):
        raise MayNot(f"this programme is of the region {programme.area}, and {officer.name} is of {officer.area}")


def check_may_approve(officer: Officer | None, programme: Programme | None) -> None:
    """`programme` is None where it is configured no more: then only the centre may. Raises MayNot."""
    if officer is None:
        return
    officer.need("approve")
    _check_level(officer)
    officer.need_area(programme.area if programme else "")


def check_may_look(officer: Officer | None) -> None:
    """Raises MayNot."""
    if officer is not None:
        officer.need("read", "enter", "approve", "audit")


def may_see_money(officer: Officer | None, programme: Programme | None) -> bool:
    """Whether a cycle's counts and rupiah, which are of the programme's whole region, are for this officer."""
    return officer is None or officer.covers(programme.area if programme else "")


def _check_level(officer: Officer) -> None:
    if len(officer.area) > REGENCY:
        raise MayNot(f"cycles are the business of a regency and above, and {officer.name} is of the {officer.level}")


def is_loopback(host: str) -> bool:
    """Whether a caller is on this machine; what is no address is not."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

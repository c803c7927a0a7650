"""An officer, and the rules of role and area. Pure.

An area is a region code of Kemendagri without dots: empty for the centre, 2 digits for a province, 4 for a regency
(kabupaten), 6 for a district (kecamatan), 10 for a village (desa, kelurahan). An officer's area holds every region
whose code begins with it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from shared.errors import SalurError, Trouble

Role = Literal["read", "enter", "approve", "audit"]
"""read: see; enter: register, propose, hand out codes; approve: open cycles; audit: see the record, replay letters."""
ROLES: Final[tuple[Role, ...]] = get_args(Role)
Level = Literal["centre", "province", "regency", "district", "village"]
LEVELS: Final[dict[int, Level]] = {0: "centre", 2: "province", 4: "regency", 6: "district", 10: "village"}

SUBJECT_MAX: Final = 100
NAME_MAX: Final = 80
_SUBJECT = re.compile(rf"[\x21-\x5a\x5c\x5e-\x7e]{{1,{SUBJECT_MAX}}}").fullmatch  # no [ or ]: they frame it in events
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\[\]]+")


class NotSignedIn(SalurError):
    """There is no officer's token, or it does not hold: expired, of another issuer, for another audience, damaged."""

    http_status = 401


class IssuerAway(Trouble):
    """The issuer does not say which keys it signs with."""


class MayNot(SalurError):
    """The officer is known and may not do this, or not there."""

    http_status = 403


@dataclass(frozen=True, slots=True)
class Officer:
    """Who acts. `subject` is the issuer's own id of the person and never changes; `name` is for people to read."""

    subject: str
    name: str
    roles: frozenset[Role]
    area: str

    @property
    def level(self) -> Level:
        return LEVELS[len(self.area)]

    @property
    def signature(self) -> str:
        """How the officer stands in events: name and subject, of which the subject tells two of one name apart."""
        return f"{self.name} [{self.subject}]"

    def has(self, *roles: Role) -> bool:
        """Whether the officer has one of these roles."""
        return not self.roles.isdisjoint(roles)

    def covers(self, region: str) -> bool:
        """Whether this region lies within the officer's area."""
        return region.startswith(self.area)

    def need(self, *roles: Role) -> None:
        """Raises MayNot unless the officer has one of these roles."""
        if not self.has(*roles):
            raise MayNot(
                f"this needs the role {' or '.join(roles)}, and {self.name} does not have it",
                hint="whoever administers the officers' accounts gives roles",
            )

    def need_area(self, region: str) -> None:
        """Raises MayNot unless the region lies within the officer's area."""
        if not self.covers(region):
            raise MayNot(f"{region or 'the whole country'} lies outside the area of {self.name}, which is {self.area}")


def officer_of(claims: Mapping[str, Any], *, name: str, roles: str, area: str) -> Officer:
    """From a verified token's claims; `name`, `roles` and `area` say under which claims they stand (`a.b`: b within a).

    Roles that Salur does not know are left out, and no area is the centre's only if the claim is there and empty.
    Raises NotSignedIn where a claim is missing or not in form.
    """
    subject, code = claims.get("sub"), _at(claims, area)
    if not isinstance(subject, str) or not _SUBJECT(subject):
        raise NotSignedIn("the token names no subject that can stand in the record")
    if not isinstance(code, str) or len(code) not in LEVELS or (code and not (code.isascii() and code.isdigit())):
        raise NotSignedIn(
            f"the token's claim {area} is no region code", hint="empty for the centre, else 2 to 10 digits"
        )
    given = _at(claims, roles)
    named = given.split() if isinstance(given, str) else given
    if not isinstance(named, Iterable) or isinstance(named, Mapping):
        raise NotSignedIn(f"the token's claim {roles} is no list of roles")
    listed = set(map(str, named))
    shown = " ".join(_UNSEEN.sub(" ", str(_at(claims, name) or subject)).split())[:NAME_MAX]
    return Officer(subject, shown or subject, frozenset(role for role in ROLES if role in listed), code)


def _at(claims: Mapping[str, Any], path: str) -> Any:
    found: Any = claims
    for part in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found

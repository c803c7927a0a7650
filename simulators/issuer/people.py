"""The officers who can sign in: a JSON list, read once."""

import json
from dataclasses import dataclass
from pathlib import Path

OFFICERS = Path(__file__).with_name("officers.json")
ROLES = frozenset({"read", "enter", "approve", "audit"})


@dataclass(frozen=True, slots=True)
class Officer:
    """A person with an office. `area` is a region code of Kemendagri without dots; empty: the whole country."""

    subject: str
    name: str
    office: str
    roles: tuple[str, ...]
    area: str

    @property
    def initials(self) -> str:
        words = [word for word in self.name.split() if not word.endswith(".")]
        return "".join(word[0] for word in words[:2]).upper()


def load(path: Path) -> dict[str, Officer]:
    """By subject, in the file's order. Raises ValueError, which names what is wrong."""
    try:
        listed = [Officer(**{**one, "roles": tuple(one["roles"])}) for one in json.loads(path.read_text("utf-8"))]
    except (OSError, TypeError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no list of officers: {error}") from None
    for one in listed:
        if unknown := set(one.roles) - ROLES:
            raise ValueError(f"{path}: {one.subject} has a role that does not exist: {', '.join(sorted(unknown))}")
        if one.area and not (one.area.isdigit() and len(one.area) in (2, 4, 6, 10)):
            raise ValueError(f"{path}: the area of {one.subject} is no region code: {one.area}")
    found = {one.subject: one for one in listed}
    if len(found) != len(listed):
        raise ValueError(f"{path}: two officers have one subject")
    return found

"""People and rules for the tests of eligibility: the programmes that come with Salur, and variations of them."""

from datetime import UTC, date, datetime
from typing import Any

from services.eligibility.domain.book import Registration
from services.eligibility.domain.facts import Facts, Sex, Trait, parse_facts
from services.eligibility.domain.programme import Programme
from services.eligibility.domain.rules import Asked, Rule
from services.eligibility.rulebook import Rulebook, load, rulebook

DAY = date(2026, 11, 16)
REGISTERED_AT = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)
RULES = {rule.name: rule for rule in load().rules}


def recipient(number: int) -> str:
    return f"r-{number:032x}"


def family(number: int) -> str:
    return f"f-{number:032x}"


def changed(name: str, **change: Any) -> Programme:
    """One of the programmes with some fields replaced, validated anew."""
    return Programme.model_validate(RULES[name].programme.model_dump() | change)


def rule(name: str, **change: Any) -> Rule:
    return rules(changed(name, **change)).rules[0]


def rules(*programmes: Programme) -> Rulebook:
    return rulebook(list(programmes), _catalogue)


def born(age_years: int, *, day: date = DAY) -> str:
    """A birth date of somebody who completed this many years on `day`."""
    return date(day.year - age_years, day.month, day.day).isoformat()


def facts(role: str = "head", sex: str = "L", age_years: int = 40, **more: Any) -> Facts:
    given = {"birth_date": born(age_years), "sex": sex, "role": role, "income_idr": 900_000, "members": []}
    return parse_facts(_json(given | more))


def member(age_years: int = 30, sex: Sex = "P", **more: Any) -> Trait:
    known = {"school": None, "pregnant": False, "severe_disability": False} | more
    return Trait(age_years, sex, **known)


def asked(*members: Trait, decile: int = 2, village: str = "7604012002", flags: tuple[str, ...] = ()) -> Asked:
    return Asked(village, decile, facts(), frozenset(flags), members)


def registration(
    revision: int, family_id: str, known: Facts | None, *, decile: int = 2, village: str = "7604012002"
) -> Registration:
    return Registration(revision, REGISTERED_AT, family_id, village, decile, "sealed", None, None, known)


def _json(value: dict[str, Any]) -> bytes:
    import json

    return json.dumps(value).encode()


def _read_catalogue() -> Any:
    from importlib.resources import files

    import yaml

    from services.eligibility.domain.reasons import Catalogue

    text = (files("services.eligibility") / "reasons.yaml").read_text(encoding="utf-8")
    return Catalogue.model_validate(yaml.safe_load(text))


_catalogue = _read_catalogue()

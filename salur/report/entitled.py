"""What somebody would have been paid in one cycle of each programme, had nothing been wrong with them.

Their own facts are put to the very rules that decide, without flags. So the amounts follow from decile, income and
family as for everybody else; nothing is estimated.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from importlib.resources import files

import asyncpg
import orjson
import yaml

from services.eligibility.domain.facts import FactsInvalid, parse_facts, traits
from services.eligibility.domain.programme import Programme
from services.eligibility.domain.reasons import Catalogue
from services.eligibility.domain.rules import Asked, Rule


class Entitled:
    """The rules in force, of those programmes that `paying` names."""

    def __init__(self, programmes: Iterable[Programme], paying: frozenset[str], day: date) -> None:
        catalogue = Catalogue.model_validate(
            yaml.safe_load((files("services.eligibility") / "reasons.yaml").read_text(encoding="utf-8"))
        )
        self._rules = {p.programme: Rule(p, catalogue) for p in programmes}
        self._paying = paying
        self._day = day

    @classmethod
    async def of(cls, eligibility: asyncpg.Connection, paying: frozenset[str]) -> "Entitled":
        """As eligibility keeps them for the auditor, and ages on the day of its latest decision."""
        kept = await eligibility.fetchval("SELECT programmes FROM rulebook ORDER BY rulebook_id DESC LIMIT 1")
        programmes = [Programme.model_validate_json(orjson.dumps(one)) for one in orjson.loads(kept or "{}").values()]
        day = await eligibility.fetchval("SELECT max(decided_at)::date FROM decision") or date.max
        return cls(programmes, paying, day)

    @property
    def programmes(self) -> list[str]:
        return sorted(name for name in self._rules if name in self._paying)

    def excluded_by(self, flags: frozenset[str]) -> frozenset[str]:
        """All programmes, paying or not, that exclude whoever has one of these flags."""
        return frozenset(
            name for name, rule in self._rules.items() if flags.intersection(rule.programme.conditions.excluded_by)
        )

    def idr(self, cells: Mapping[str, str]) -> dict[str, int]:
        """Rupiah of one cycle by programme, for a row of registrations.csv; programmes with none are left out."""
        try:
            facts = parse_facts(
                orjson.dumps(
                    {
                        "birth_date": cells["birth_date"],
                        "sex": cells["sex"],
                        "role": cells["role"],
                        "income_idr": int(cells["income_idr"]),
                        "members": orjson.loads(cells["members"]),
                    }
                )
            )
        except (FactsInvalid, ValueError, LookupError):
            return {}
        asked = Asked(cells["village"], int(cells["decile"]), facts, frozenset(), traits(facts, self._day))
        verdicts = {name: self._rules[name].entitlement(asked) for name in self.programmes}
        return {name: verdict.amount_idr for name, verdict in verdicts.items() if verdict.eligible}

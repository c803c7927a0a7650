"""Why: codes, and the sentences that people read. The catalogue is reasons.yaml; here is what it must hold."""

from functools import cache
from typing import Any, Final, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from services.eligibility.domain.programme import Flag, Programme
from shared.events.eligibility import Reason
from shared.events.model import Text

DETAILS_SCHEMA: Final = "details/1"

ReasonCode = Literal[
    "meets_conditions",
    "programme_closed",
    "facts_erased",
    "outside_region",
    "decile_above_limit",
    "excluded_by_other_agency",
    "condition_not_met",
    "no_component",
    "not_the_payee",
]
"""Coarse enough to stand in the clear, in the order in which they are given."""

DetailCode = Literal["counted", "members_max", "income_above"]
"""Particulars beside those of each flag; sealed for `particulars`."""


class Said(NamedTuple):
    """A sentence in both languages."""

    id: str
    en: str


class Catalogue(BaseModel):
    """Every sentence of this service. A code without one, or a placeholder that nobody fills, is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reasons: dict[ReasonCode, Text]
    details: dict[DetailCode, Text]
    flags: dict[Flag, Text]

    @model_validator(mode="after")
    def _complete(self) -> "Catalogue":
        for name, held, needed in (
            ("reasons", self.reasons, get_args(ReasonCode)),
            ("details", self.details, get_args(DetailCode)),
            ("flags", self.flags, get_args(Flag)),
        ):
            if missing := sorted(set(needed) - set(held)):
                raise ValueError(f"{name} lacks {', '.join(missing)}")
        for name, texts, values in (
            ("reasons", self.reasons, _SAMPLE_REASON),
            ("details", self.details, _SAMPLE_DETAIL),
            ("flags", self.flags, {}),
        ):
            for code, text in texts.items():
                _fill(f"{name}.{code}", text, values)
        return self


_SAMPLE_REASON: Final = {"programme": "P", "decile_max": 1, "components": "C"}
_SAMPLE_DETAIL: Final = {"members": 1, "component": "C", "idr": "Rp1"}


def _fill(where: str, text: Text, values: dict[str, Any]) -> Said:
    try:
        return Said(text.id.format(**values), text.en.format(**values))
    except (KeyError, IndexError) as error:
        raise ValueError(f"{where} names {error}, which nobody fills") from None


class Sentences:
    """The sentences of one programme."""

    def __init__(self, catalogue: Catalogue, programme: Programme) -> None:
        self._catalogue = catalogue
        self._components = programme.components
        self._reasons = {code: _reason(catalogue, programme, code) for code in get_args(ReasonCode)}
        self.reasons = cache(self._as_reasons)
        self.limit = cache(self._limit)
        self.counted = cache(self._counted)

    def flag(self, flag: Flag) -> Said:
        """Which exclusion flag stands."""
        text = self._catalogue.flags[flag]
        return Said(text.id, text.en)

    def _as_reasons(self, codes: tuple[ReasonCode, ...]) -> tuple[Reason, ...]:
        return tuple(self._reasons[code] for code in codes)

    def _limit(self, code: DetailCode, limit: int) -> Said:
        """A particular whose sentence names one limit: of members or of rupiah."""
        text = self._catalogue.details[code]
        return Said(
            text.id.format(members=limit, idr=rupiah(limit, ".")), text.en.format(members=limit, idr=rupiah(limit, ","))
        )

    def _counted(self, component: str, members: int, idr: int) -> Said:
        text, name = self._catalogue.details["counted"], self._components[component].name
        return Said(
            text.id.format(members=members, component=name.id, idr=rupiah(idr, ".")),
            text.en.format(members=members, component=name.en, idr=rupiah(idr, ",")),
        )


def rupiah(idr: int, separator: str) -> str:
    return "Rp" + f"{idr:,}".replace(",", separator)


def _reason(catalogue: Catalogue, programme: Programme, code: ReasonCode) -> Reason:
    names = [component.name for component in programme.components.values()]
    text = catalogue.reasons[code]
    decile_max = programme.conditions.decile_max
    return Reason(
        code=code,
        text=Text(
            id=text.id.format(
                programme=programme.title.id, decile_max=decile_max, components=_or([n.id for n in names], "atau")
            ),
            en=text.en.format(
                programme=programme.title.en, decile_max=decile_max, components=_or([n.en for n in names], "or")
            ),
        ),
    )


def _or(names: list[str], word: str) -> str:
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else "".join(names)

"""A programme's rules as data: the model of programmes/*.yaml. docs/reference/programmes.md explains every field."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.eligibility.domain.facts import School, Sex, Trait
from shared.events.model import Code, Name, Text

Flag = Literal[
    "deceased",
    "civil_servant",
    "certified_teacher",
    "company_owner",
    "income_above_minimum_wage",
    "village_official",
    "electricity_900va",
    "car_owner",
]
"""The exclusion flags of BPK's audits."""

PayeeClass = Literal["mother", "spouse", "head", "other"]
"""`mother`: a woman who is head or spouse; `spouse`, `head`, `other`: the role on the family card."""

AgeYears = Annotated[int, Field(ge=0, le=150)]
PositiveIdr = Annotated[int, Field(gt=0, le=10**12)]
PERIODS_A_YEAR = {"month": 12, "quarter": 4}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Component(_Model):
    """Members of whom a programme takes account: those for whom everything stated here holds."""

    name: Text
    school: School | None = None
    age_from: AgeYears | None = None
    age_to: AgeYears | None = Field(
        default=None, description="Inclusive: 6 means until the day before the 7th birthday"
    )
    sex: Sex | None = None
    pregnant: Literal[True] | None = None
    severe_disability: Literal[True] | None = None
    a_year_idr: PositiveIdr | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Component":
        limits = (self.school, self.age_from, self.age_to, self.sex, self.pregnant, self.severe_disability)
        if all(limit is None for limit in limits):
            raise ValueError("names no condition, so every member would count")
        if self.age_from is not None and self.age_to is not None and self.age_from > self.age_to:
            raise ValueError(f"age_from {self.age_from} is above age_to {self.age_to}")
        return self

    def fits(self, member: Trait) -> bool:
        return (
            (self.school is None or member.school == self.school)
            and (self.age_from is None or member.age_years >= self.age_from)
            and (self.age_to is None or 0 <= member.age_years <= self.age_to)
            and (self.sex is None or member.sex == self.sex)
            and (self.pregnant is None or member.pregnant)
            and (self.severe_disability is None or member.severe_disability)
        )


class Conditions(_Model):
    """The whole vocabulary. What is left out is not asked."""

    region: tuple[Annotated[str, Field(pattern=r"^\d{2}(\d{2}(\d{2}(\d{4})?)?)?$")], ...] = Field(
        default=(), strict=False, description="Kemendagri codes; the village must lie in one of them"
    )
    decile_max: Annotated[int, Field(ge=1, le=10)] | None = None
    income_max_idr: PositiveIdr | None = Field(default=None, description="Of the family in a month, inclusive")
    needs_component: bool = False
    excluded_by: tuple[Flag, ...] = Field(default=(), strict=False)


class FamilyAmount(_Model):
    """The same for every family."""

    per_period_idr: PositiveIdr


class ComponentAmount(_Model):
    """The sum over members of `a_year_idr` of their best-paid component, in equal parts a period."""

    members_max: Annotated[int, Field(ge=1, le=100)]


Amount: TypeAlias = FamilyAmount | ComponentAmount


class Payee(_Model):
    """Who of a family card is paid. docs/explanation/payee.md says how the order is read."""

    order: tuple[PayeeClass, ...] = Field(strict=False)
    sitting: Literal["stays", "yields"] = "stays"

    @model_validator(mode="after")
    def _covers_everybody(self) -> "Payee":
        if len(set(self.order)) != len(self.order):
            raise ValueError("order names a class twice")
        if missing := [role for role in ("spouse", "head", "other") if role not in self.order]:
            raise ValueError(f"order leaves out {', '.join(missing)}: a family could be left without a payee")
        return self


class Programme(_Model):
    """One version of one programme."""

    programme: Name
    version: Annotated[int, Field(ge=1)]
    title: Text
    basis: str = Field(min_length=1, description="Where the rules come from: law, decree, published figures")
    period: Literal["month", "quarter"]
    closed: bool = Field(default=False, description="Nobody is eligible any more; a programme is never deleted")
    conditions: Conditions
    components: dict[Code, Component] = Field(default_factory=dict)
    amount: Amount
    payee: Payee | None = Field(default=None, description="null: every recipient is decided alone")

    @model_validator(mode="after")
    def _agrees(self) -> "Programme":
        if self.conditions.needs_component and not self.components:
            raise ValueError("conditions.needs_component is true, but there are no components")
        if isinstance(self.amount, ComponentAmount):
            self._check_component_amounts()
        elif paid := [code for code, c in self.components.items() if c.a_year_idr is not None]:
            raise ValueError(f"components {', '.join(paid)} have a_year_idr, but the amount is per_period_idr")
        return self

    def _check_component_amounts(self) -> None:
        if not self.conditions.needs_component:
            raise ValueError("an amount by components requires conditions.needs_component")
        for code, component in self.components.items():
            if component.a_year_idr is None:
                raise ValueError(f"components.{code}.a_year_idr is missing")
            if component.a_year_idr % self.periods_a_year:
                raise ValueError(
                    f"components.{code}.a_year_idr {component.a_year_idr} does not divide into "
                    f"{self.periods_a_year} whole amounts of rupiah"
                )

    @property
    def periods_a_year(self) -> int:
        return PERIODS_A_YEAR[self.period]

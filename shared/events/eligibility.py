"""Decisions: who may receive what, and why."""

from typing import ClassVar, Literal

from pydantic import Field

from shared.events.model import Code, Data, Decile, FamilyId, Idr, Name, Part, Revision, Text, Utc, VillageCode
from shared.privacy.sealed import Sealed


class Reason(Part):
    """Why a decision is as it is, coarse enough to stand in the clear; particulars are in the sealed `details`."""

    code: Code
    text: Text


class EligibilityDecided(Data):
    """The one current decision about a recipient in a programme; a higher revision supersedes it."""

    TYPE: ClassVar[str] = "eligibility.decided"

    programme: Name
    programme_version: int = Field(ge=1, description="Version of the programme's rules that were applied")
    revision: Revision
    outcome: Literal["eligible", "ineligible"]
    amount_idr: Idr = Field(description="For one period of the programme; 0 when ineligible")
    reasons: tuple[Reason, ...] = Field(min_length=1)
    details: Sealed | None = Field(
        default=None, description="JSON list of {id, en} sentences with the particulars, sealed for `particulars`"
    )
    registration_revision: Revision
    flag_revision: int = Field(ge=0, description="0: no flag was ever raised")
    village: VillageCode
    decile: Decile
    waiting_since: Utc = Field(description="When the recipient was first registered")
    family_id: FamilyId | None = Field(
        default=None, description="In a programme that pays one of a family, once a period: whose family that is"
    )
    payment: Sealed | None = None
    contact: Sealed | None = None

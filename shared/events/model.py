"""What all event data have in common: the base model and the vocabulary of fields."""

from typing import Annotated, ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Idr = Annotated[int, Field(ge=0, le=10**15, description="Integer rupiah")]
Revision = Annotated[int, Field(ge=1, description="Grows by one with every event about this aggregate")]
RevisionOrNone = Annotated[int, Field(ge=0, description="A revision; 0 before the first")]
Code = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$", description="Stable machine-readable code")]
Name = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$", description="A configured name, such as a programme's")
]
Period = Annotated[
    str, Field(pattern=r"^\d{4}-(\d{2}|Q[1-4])$", description="A calendar month 2026-11 or a stage (tahap) 2026-Q4")
]
RecipientId = Annotated[str, Field(pattern=r"^r-[0-9a-f]{32}$", description="Keyed hash of the NIK")]
FamilyId = Annotated[str, Field(pattern=r"^f-[0-9a-f]{32}$", description="Keyed hash of the family card number")]
VillageCode = Annotated[str, Field(pattern=r"^\d{10}$", description="Kemendagri code of the village, without dots")]
AccountFingerprint = Annotated[
    str,
    Field(pattern=r"^a-[0-9a-f]{32}$", description="Keyed hash of an account: the same account, and nothing about it"),
]
Decile = Annotated[int, Field(ge=1, le=10, description="DTSEN decile (desil), 1 is poorest")]
Utc = Annotated[AwareDatetime, Field(description="UTC")]


class Data(BaseModel):
    """The data of one event type. Unknown fields are refused when we write and ignored when we read (`codec`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1


class Part(BaseModel):
    """A group of fields inside event data."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(Part):
    """A sentence for people, in both languages."""

    id: str = Field(min_length=1, description="Bahasa Indonesia")
    en: str = Field(min_length=1, description="English")

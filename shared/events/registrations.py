"""From a submission to a recipient: what sources send in and what the registry answers.

Every submission gets exactly one answer: `recipient.registered`, `registration.unchanged` or
`registration.rejected` for a registration, `recipient.flagged` or `flag.rejected` for a flag.
"""

from typing import ClassVar, Literal

from pydantic import Field

from shared.events.model import Code, Data, Decile, FamilyId, Part, Revision, RevisionOrNone, Text, Utc, VillageCode
from shared.privacy.hpke import SealedSubmission
from shared.privacy.sealed import Sealed


class SubmissionRef(Part):
    """Which submission is meant: the source's name and its own id, unique within the source."""

    source: str
    id: str
    submitted_at: Utc


class RegistrationSubmitted(Data):
    """A source registers a person. The content is sealed for the registry; `id` is the source's own."""

    TYPE: ClassVar[str] = "registration.submitted"

    sealed: SealedSubmission


class FlagSubmitted(Data):
    """Another agency raises or withdraws an exclusion flag on a person (BPK's list: deceased, civil servant, …)."""

    TYPE: ClassVar[str] = "flag.submitted"

    sealed: SealedSubmission


class RecipientRegistered(Data):
    """A person is registered, or a later submission changed what is known of them."""

    TYPE: ClassVar[str] = "recipient.registered"

    revision: Revision
    change: Literal["new", "updated"]
    submission: SubmissionRef
    registered_at: Utc = Field(description="When this recipient was first registered: they have waited since")
    family_id: FamilyId
    village: VillageCode
    decile: Decile
    eligibility: Sealed = Field(description="Facts for the rules of programmes, sealed for `eligibility`")
    payment: Sealed | None = Field(default=None, description="The account, sealed for `payment`; none was given: null")
    contact: Sealed | None = Field(default=None, description="Name, phone and language, sealed for `contact`")


class RegistrationUnchanged(Data):
    """A submission that says nothing new: identical to what is known, or older than it."""

    TYPE: ClassVar[str] = "registration.unchanged"

    revision: Revision
    submission: SubmissionRef
    reason: Literal["identical", "older"]


class Problem(Part):
    """One thing wrong with one field. Never holds the value."""

    field: str
    code: Code
    text: Text


class RegistrationRejected(Data):
    """A submission that cannot be registered. Keyed by the recipient where the NIK is valid, else by the submission."""

    TYPE: ClassVar[str] = "registration.rejected"

    submission: SubmissionRef
    problems: tuple[Problem, ...] = Field(min_length=1)


class RecipientFlagged(Data):
    """All flags that stand on a person now. Its revision counts flag changes, apart from those of the registration."""

    TYPE: ClassVar[str] = "recipient.flagged"

    revision: Revision
    submission: SubmissionRef
    flags: Sealed = Field(description="JSON list of flag codes, sealed for `eligibility`")


class RecipientResealed(Data):
    """What stands on a person, under the keys in use now: for whoever keeps it under older ones. Nothing else is new.

    Each value belongs to one revision; who keeps another revision leaves it alone. The answer to no submission.
    """

    TYPE: ClassVar[str] = "recipient.resealed"

    revision: RevisionOrNone = Field(description="Of the registration that the values belong to; 0: there is none")
    eligibility: Sealed | None = Field(default=None, description="As on recipient.registered of this revision")
    payment: Sealed | None = Field(default=None, description="As on recipient.registered of this revision")
    contact: Sealed | None = Field(default=None, description="As on recipient.registered of this revision")
    flag_revision: RevisionOrNone = Field(description="Of the flags; 0: no flag was ever stated")
    flags: Sealed | None = Field(default=None, description="As on recipient.flagged of this flag revision")


class FlagRejected(Data):
    """A flag that cannot be taken."""

    TYPE: ClassVar[str] = "flag.rejected"

    submission: SubmissionRef
    problems: tuple[Problem, ...] = Field(min_length=1)

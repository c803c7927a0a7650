"""The contract: every event of the flow, as one frozen model per type."""

from shared.events.access import CodeIssued
from shared.events.alerts import Advice, AlertCleared, AlertRaised
from shared.events.dead_letters import DeadLetter, Origin
from shared.events.eligibility import EligibilityDecided, Reason
from shared.events.envelope import Cause, Event, caused_by, first_cause
from shared.events.model import Data, Text
from shared.events.notifications import (
    NotificationDelivered,
    NotificationFailed,
    NotificationSent,
    NotificationUnknown,
)
from shared.events.payouts import (
    CycleApproved,
    CycleProposed,
    PayoutCancelled,
    PayoutConfirmed,
    PayoutFailed,
    PayoutOrdered,
    PayoutQueued,
)
from shared.events.registrations import (
    FlagRejected,
    FlagSubmitted,
    Problem,
    RecipientFlagged,
    RecipientRegistered,
    RecipientResealed,
    RegistrationRejected,
    RegistrationSubmitted,
    RegistrationUnchanged,
    SubmissionRef,
)

__all__ = [
    "Advice",
    "AlertCleared",
    "AlertRaised",
    "Cause",
    "CodeIssued",
    "CycleApproved",
    "CycleProposed",
    "Data",
    "DeadLetter",
    "EligibilityDecided",
    "Event",
    "FlagRejected",
    "FlagSubmitted",
    "NotificationDelivered",
    "NotificationFailed",
    "NotificationSent",
    "NotificationUnknown",
    "Origin",
    "PayoutCancelled",
    "PayoutConfirmed",
    "PayoutFailed",
    "PayoutOrdered",
    "PayoutQueued",
    "Problem",
    "Reason",
    "RecipientFlagged",
    "RecipientRegistered",
    "RecipientResealed",
    "RegistrationRejected",
    "RegistrationSubmitted",
    "RegistrationUnchanged",
    "SubmissionRef",
    "Text",
    "caused_by",
    "first_cause",
]

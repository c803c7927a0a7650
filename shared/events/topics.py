"""The table of topics: who writes what, and which carry sequences.

All topics of the flow have the same number of partitions and are keyed by recipient, so one recipient's events stay in
order within a topic and land on the same partition number everywhere.
"""

from itertools import chain
from typing import Literal, NamedTuple

from shared.events.dead_letters import DeadLetter
from shared.events.eligibility import EligibilityDecided
from shared.events.model import Data
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
    RecipientFlagged,
    RecipientRegistered,
    RegistrationRejected,
    RegistrationSubmitted,
    RegistrationUnchanged,
)

Service = Literal["registry", "eligibility", "payout", "notify"]
STAGES: tuple[Service, ...] = ("registry", "eligibility", "payout", "notify")

PARTITIONS_EMBEDDED = 8
PARTITIONS_ADVISED = 48

_DAY_MS = 24 * 3600 * 1000
_INTAKE_RETENTION_MS = 7 * _DAY_MS


class Topic(NamedTuple):
    """One Kafka topic. `owner` is the only service that writes it; None: sources or the command line do."""

    name: str
    model: type[Data] | None
    owner: Service | None
    retention_ms: int = -1

    @property
    def sequenced(self) -> bool:
        """Whether every message must carry the header `sequence`."""
        return self.owner is not None


_FLOW: dict[Service, tuple[type[Data], ...]] = {
    "registry": (RecipientRegistered, RegistrationUnchanged, RegistrationRejected, RecipientFlagged, FlagRejected),
    "eligibility": (EligibilityDecided,),
    "payout": (
        CycleProposed,
        CycleApproved,
        PayoutQueued,
        PayoutOrdered,
        PayoutCancelled,
        PayoutConfirmed,
        PayoutFailed,
    ),
    "notify": (NotificationSent, NotificationDelivered, NotificationFailed, NotificationUnknown),
}


def dead_letter_topic(service: Service) -> str:
    return f"dead-letter.{service}"


def replay_topic(service: Service) -> str:
    """Where an operator puts dead letters back; it carries events of any type that the service reads."""
    return f"replay.{service}"


def intake_topic(model: type[RegistrationSubmitted] | type[FlagSubmitted], source: str) -> str:
    return f"{model.TYPE}.{source}"


FLOW_TOPICS: dict[str, Topic] = {
    topic.name: topic
    for service, models in _FLOW.items()
    for topic in (
        *(Topic(model.TYPE, model, service) for model in models),
        Topic(dead_letter_topic(service), DeadLetter, service),
        Topic(replay_topic(service), None, None, _INTAKE_RETENTION_MS),
    )
}

INTAKE_MODELS: tuple[type[RegistrationSubmitted] | type[FlagSubmitted], ...] = (RegistrationSubmitted, FlagSubmitted)


def topic_named(name: str) -> Topic:
    """The topic of this name, intake topics of any source included. Raises KeyError for a name outside the flow."""
    if name in FLOW_TOPICS:
        return FLOW_TOPICS[name]
    for model in INTAKE_MODELS:
        if name.startswith(f"{model.TYPE}."):
            return Topic(name, model, None, _INTAKE_RETENTION_MS)
    raise KeyError(name)


def outputs_of(service: Service) -> tuple[str, ...]:
    """The topics that `service` alone writes."""
    return tuple(topic.name for topic in FLOW_TOPICS.values() if topic.owner == service)


def topic_of(model: type[Data], service: Service) -> str:
    """Where `service` writes events of this model."""
    return dead_letter_topic(service) if model is DeadLetter else model.TYPE


_ALL: tuple[type[Data], ...] = (*chain(*_FLOW.values()), *INTAKE_MODELS, DeadLetter)

MODELS: dict[str, type[Data]] = {model.TYPE: model for model in _ALL}
"""Every model of the contract by its type."""

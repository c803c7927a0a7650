"""The table of topics: who writes what, and which carry sequences.

All topics of the flow have the same number of partitions and are keyed by recipient, so one recipient's events stay in
order within a topic and land on the same partition number everywhere.
"""

from functools import cache
from itertools import chain
from typing import Literal, NamedTuple, get_args

from shared.brokers import MESSAGE_BYTES_MAX, in_sync_min
from shared.events.access import CodeIssued
from shared.events.alerts import AlertCleared, AlertRaised
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
    RecipientResealed,
    RegistrationRejected,
    RegistrationSubmitted,
    RegistrationUnchanged,
)

Service = Literal["registry", "eligibility", "payout", "notify", "portal", "monitor"]
"""Who owns topics: the stages, and the monitor, which watches them and is none."""
OWNERS: tuple[Service, ...] = get_args(Service)
STAGES: tuple[Service, ...] = ("registry", "eligibility", "payout", "notify", "portal")

SEQUENCE_HEADER = "sequence"
"""The Kafka header that numbers the events of one topic and partition."""
SEQUENCE_DIGITS_MAX = 18
"""A longer one is none: Python refuses to read it at some length, and the database holds no larger one."""
PARTITIONS_EMBEDDED = 8
PARTITIONS_ADVISED = 48

_DAY_MS = 24 * 3600 * 1000


class Keeping(NamedTuple):
    """What Kafka may forget of a topic. `retention_ms` -1: nothing by age. `segment_bytes`: only whole segments are
    compacted; None: as large as the brokers make them."""

    retention_ms: int
    cleanup: Literal["delete", "compact"]
    segment_bytes: int | None = None


# Kept for ever and never compacted: sequence and digest run over every event, and compaction would leave of each
# recipient the last one only. Personal data in them falls with its key, not with the message.
FLOW = Keeping(-1, "delete")
# They are the only place where what could not be processed still is; they carry sequences like the flow.
DEAD_LETTERS = Keeping(-1, "delete")
# Every submission is answered on a topic of the flow and its sealed content is needed once. Not compacted: keys are the
# sources' own ids, and of two submissions with one id the first must be read as well.
INTAKE = Keeping(7 * _DAY_MS, "delete")
# What is put back takes effect within seconds, or becomes a new dead letter.
REPLAY = Keeping(7 * _DAY_MS, "delete")
# Of each count of the monitor's the last value is all that a restart needs; what has expired is deleted by a tombstone.
CHANGELOG = Keeping(-1, "compact", 16 * 1024 * 1024)


class Topic(NamedTuple):
    """One Kafka topic. `owner` is the only service that writes it; None: sources or the command line do.

    Its number of partitions and of replicas are settings of the deployment, the same for all topics.
    """

    name: str
    model: type[Data] | None
    owner: Service | None
    keeping: Keeping = FLOW

    @property
    def sequenced(self) -> bool:
        """Whether every message must carry the header `sequence`."""
        return self.owner is not None

    @property
    def retention_ms(self) -> int:
        return self.keeping.retention_ms

    def configs(self, replication: int) -> dict[str, str]:
        """Kafka's own settings of this topic. The topic states them all, whatever the brokers' defaults are.

        What others write, the broker unpacks: they compress as they like (this client reads gzip alone), and the limit
        holds for what is inside, not for a small batch that unfolds to gigabytes. It also gets the broker's time: by
        that of a source whose clock is wrong Kafka would refuse it, or forget it unread.
        """
        segments = {} if self.keeping.segment_bytes is None else {"segment.bytes": str(self.keeping.segment_bytes)}
        return segments | {
            "cleanup.policy": self.keeping.cleanup,
            "retention.ms": str(self.keeping.retention_ms),
            "retention.bytes": "-1",
            "min.insync.replicas": str(in_sync_min(replication)),
            "unclean.leader.election.enable": "false",
            "message.timestamp.type": "CreateTime" if self.sequenced else "LogAppendTime",
            "compression.type": "producer" if self.sequenced else "uncompressed",
            "max.message.bytes": str(MESSAGE_BYTES_MAX),
        }


_FLOW: dict[Service, tuple[type[Data], ...]] = {
    "registry": (
        RecipientRegistered,
        RegistrationUnchanged,
        RegistrationRejected,
        RecipientFlagged,
        FlagRejected,
        RecipientResealed,
    ),
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
    "portal": (CodeIssued,),
    "monitor": (AlertRaised, AlertCleared),
}


def dead_letter_topic(service: Service) -> str:
    return f"dead-letter.{service}"


def replay_topic(service: Service) -> str:
    """Where an operator puts dead letters back; it carries events of any type that the service reads."""
    return f"replay.{service}"


def intake_topic(model: type[RegistrationSubmitted] | type[FlagSubmitted], source: str) -> str:
    return f"{model.TYPE}.{source}"


def _aside(service: Service) -> tuple[Topic, ...]:
    """What a stage has beside its events: what it could not process, and where that is put back."""
    if service not in STAGES:
        return ()
    return (
        Topic(dead_letter_topic(service), DeadLetter, service, DEAD_LETTERS),
        Topic(replay_topic(service), None, None, REPLAY),
    )


FLOW_TOPICS: dict[str, Topic] = {
    topic.name: topic
    for service, models in _FLOW.items()
    for topic in (
        *(Topic(model.TYPE, model, service) for model in models),
        *_aside(service),
    )
}

MONITOR_GROUP = "salur-monitor"
"""Faust's name of the monitor: its consumer group, and what its changelog topics begin with."""
CHANGELOGS: dict[str, Topic] = {
    name: Topic(name, None, None, CHANGELOG)
    for name in (f"{MONITOR_GROUP}-{table}-changelog" for table in ("minute", "hour", "day", "cycle", "position"))
}
"""Where the monitor's tables are kept. They are no part of the flow: lost, they are counted anew from its topics."""

INTAKE_MODELS: tuple[type[RegistrationSubmitted] | type[FlagSubmitted], ...] = (RegistrationSubmitted, FlagSubmitted)


@cache
def topic_named(name: str) -> Topic:
    """The topic of this name, intake topics of any source and changelogs included. Raises KeyError for any other."""
    if topic := FLOW_TOPICS.get(name) or CHANGELOGS.get(name):
        return topic
    if model := _submitted_on(name):
        return Topic(name, model, None, INTAKE)
    raise KeyError(name)


def is_intake(name: str) -> bool:
    """Whether sources write to this topic."""
    return _submitted_on(name) is not None


def _submitted_on(name: str) -> type[Data] | None:
    return next((model for model in INTAKE_MODELS if name.startswith(f"{model.TYPE}.")), None)


def outputs_of(service: Service) -> tuple[str, ...]:
    """The topics that `service` alone writes."""
    return tuple(topic.name for topic in FLOW_TOPICS.values() if topic.owner == service)


def topic_of(model: type[Data], service: Service) -> str:
    """Where `service` writes events of this model."""
    return dead_letter_topic(service) if model is DeadLetter else model.TYPE


_ALL: tuple[type[Data], ...] = (*chain(*_FLOW.values()), *INTAKE_MODELS, DeadLetter)

MODELS: dict[str, type[Data]] = {model.TYPE: model for model in _ALL}
"""Every model of the contract by its type."""

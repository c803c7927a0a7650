"""CloudEvents 1.0 around the data, and what passes from a cause to its effects.

Ids are deterministic: whoever handles the same cause again makes the same ids, so a replay is recognised as one.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from hashlib import blake2b
from typing import Annotated, Generic, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from shared.events.model import Data, Utc

D = TypeVar("D", bound=Data)

CONTENT_TYPE = "application/cloudevents+json"
_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")

EventId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class Cause(NamedTuple):
    """What an effect inherits: kept beside a row whose later work will emit events."""

    event_id: str
    correlation_id: str
    traceparent: str


class Event(BaseModel, Generic[D]):
    """One CloudEvent in structured JSON mode. `subject` is the Kafka key: a recipient, a cycle or a submission."""

    model_config = ConfigDict(frozen=True, extra="forbid", cache_strings="keys")  # nearly no value comes twice

    specversion: Literal["1.0"] = "1.0"
    id: EventId
    source: str = Field(min_length=1, max_length=100, description="Who says so: a service, or a registered source")
    type: str
    subject: str = Field(min_length=1, max_length=200)
    time: Utc
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str | None = Field(default=None, description="urn:salur:event:TYPE:VERSION")
    traceparent: str | None = Field(default=None, description="W3C trace context of this event")
    causationid: str | None = Field(default=None, description="Id of the event that caused this one")
    correlationid: str | None = Field(default=None, description="Id of the submission that everything began with")
    data: D

    @property
    def cause(self) -> Cause:
        """This event as the cause of others. What an outside publisher left out is filled in, deterministically."""
        return Cause(self.id, self.correlationid or self.id, self._trace())

    def _trace(self) -> str:
        if self.traceparent and _TRACEPARENT.match(self.traceparent):
            return self.traceparent
        return _traceparent(_digest(("trace", self.source, self.id)), _digest(("span", self.id)))


def caused_by(
    cause: Cause, service: str, data: D, *, subject: str, time: datetime, distinct: Iterable[str] = ()
) -> Event[D]:
    """An event of `service` that follows from `cause`.

    `distinct` tells apart several events of one type from one cause (a programme's name, an attempt); the subject
    always does.
    """
    event_id = _digest((cause.event_id, data.TYPE, subject, *distinct))
    return envelope(type(data))(
        id=event_id,
        source=f"/salur/{service}",
        type=data.TYPE,
        subject=subject,
        time=time,
        dataschema=schema_urn(type(data)),
        traceparent=_traceparent(cause.traceparent[3:35], event_id),
        causationid=cause.event_id,
        correlationid=cause.correlation_id,
        data=data,
    )


@cache
def envelope(model: type[D]) -> type[Event[D]]:
    """The event model of one data model."""
    return Event[model]  # type: ignore[valid-type]


def first_cause(event_id: str, source: str) -> Cause:
    """The cause of what has no event before it: a cycle that an officer proposes, a file that a source sends."""
    return Cause(event_id, event_id, _traceparent(_digest(("trace", source, event_id)), _digest(("span", event_id))))


@cache
def schema_urn(model: type[Data]) -> str:
    return f"urn:salur:event:{model.TYPE}:{model.VERSION}"


def _traceparent(trace: str, span: str) -> str:
    return f"00-{trace}-{span[:16]}-01"


def _digest(parts: Iterable[str]) -> str:
    """32 hex digits of all parts, each with its length in bytes in front, so that no two lists of parts look alike."""
    parts = tuple(parts)
    joined = "".join([f"{len(part)}:{part}" for part in parts])
    if not joined.isascii():
        joined = "".join([f"{len(part.encode())}:{part}" for part in parts])
    return blake2b(joined.encode(), digest_size=16).hexdigest()

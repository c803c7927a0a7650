"""What a service could not process, kept with where it came from and why."""

from typing import ClassVar

from pydantic import Field

from shared.events.model import Code, Data, Part
from shared.privacy.sealed import Sealed


class Origin(Part):
    """The message's place in Kafka."""

    topic: str
    partition: int
    offset: int
    sequence: int | None = None


class DeadLetter(Data):
    """A poison message. Its body may hold anything, so it is sealed for `recovery`; too large: only by its origin."""

    TYPE: ClassVar[str] = "dead-letter"

    origin: Origin
    code: Code
    reason: str = Field(description="What is wrong, without any value of the message")
    body: Sealed | None = None
    body_bytes: int = Field(ge=0)

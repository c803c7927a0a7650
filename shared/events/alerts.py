"""What the monitor raises and clears. Keyed by rule and what it is about; each raising is cleared at most once."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.events.model import Data, Name, Part, Text, Utc

Level = Literal["critical", "warning", "info"]


class Advice(Part):
    """What an officer or operator reads: what happened, where to look, what to do."""

    what: Text
    look: Text
    do: Text


class _Alert(Data):
    """One raising of one rule about one thing."""

    rule: Name
    about: Annotated[str, Field(min_length=1, max_length=120, description="A stage, channel, village code, cycle, …")]
    raising: int = Field(ge=1, description="Counts how often this rule was raised about this")
    level: Level
    since: Utc = Field(description="End of the first window in which it stood")
    value: float = Field(description="What was measured; its unit is in `text`")
    threshold: float
    runbook: str = Field(pattern=r"^docs/runbooks/[a-z-]+\.md$")
    advice: Advice


class AlertRaised(_Alert):
    """Something is wrong, or will be. critical: now, at night too; warning: in working hours; info: to know."""

    TYPE: ClassVar[str] = "alert.raised"


class AlertCleared(_Alert):
    """It is over. `value` is the last one measured, `since` when it had begun."""

    TYPE: ClassVar[str] = "alert.cleared"

    cleared_at: Utc

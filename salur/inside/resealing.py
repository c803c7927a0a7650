"""Moving all current values from a retired key to the one in use: the registry seals anew and tells, round by round.

A round asks for everybody who still has a value under the key anywhere, and waits until all stages have read what the
registry, and the stages before them, had told. What is left then was overtaken on its way (an event with the older
value came after the newer one), and the next round tells it once more.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Protocol
from uuid import uuid4

import aiohttp

from salur.inside.dependents import DEPENDENTS, Dependent, count_dependents, databases, recipients_under
from salur.inside.passing import SEALED_VALUES, Behind, passed
from shared.errors import SalurError
from shared.privacy.keys import Kind

RECIPIENTS_A_REQUEST: Final = 500
ROUNDS_MAX: Final = 5
_REQUEST_TIMEOUT_S: Final = 60
_TRY_FOR_S: Final = 60.0
_TRY_AGAIN_S: Final = 1.0


class Refused(SalurError):
    """The registry says no; the message is its own."""


class Progress(Protocol):
    """Is told how a run goes."""

    def begin(self, what: str, total: int) -> None: ...
    def advance(self, count: int) -> None: ...


@dataclass(slots=True)
class PlaceDone:
    """What the registry said about the recipients of one place in the last round."""

    asked: int = 0
    unknown: int = 0
    left: Counter[str] = field(default_factory=Counter)
    """values that stay, as `PART REASON`"""


@dataclass(slots=True)
class Outcome:
    """`still`: how many values of each place are under the key yet; none: it can be destroyed."""

    key_id: str
    kind: Kind
    rounds: int = 0
    told: int = 0
    resealed: int = 0
    still: dict[str, int] = field(default_factory=dict)
    places: dict[str, PlaceDone] = field(default_factory=dict)
    behind: Behind | None = None

    @property
    def complete(self) -> bool:
        return not self.still and self.behind is None

    def why(self, place: str) -> str:
        """Why values of this place are left, in words."""
        done = self.places.get(place, PlaceDone())
        reasons = [f"{count:,} {what}" for what, count in sorted(done.left.items())]
        if done.unknown:
            reasons.append(f"{done.unknown:,} unknown to the registry")
        if self.behind:
            reasons.append(f"{self.behind.reader} has {self.behind.events:,} events to read yet")
        return ", ".join(reasons) or "of another revision than the registry's, or overtaken on its way"


@dataclass(frozen=True, slots=True)
class Registry:
    """Its endpoint for sealing anew. The token is not shown."""

    url: str
    token: str = field(repr=False)

    async def reseal(self, session: aiohttp.ClientSession, recipients: Sequence[str]) -> Mapping[str, Any]:
        """Tries again for a while where the registry does not answer; the act keeps its name. Raises Refused."""
        body = {"act": f"reseal-{uuid4().hex}", "recipients": list(recipients)}
        headers = {"Authorization": f"Bearer {self.token}"}
        until = monotonic() + _TRY_FOR_S
        while True:
            said = ""
            with suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
                async with session.post(f"{self.url}/recipients/reseal", json=body, headers=headers) as response:
                    answer = await response.json(content_type=None)
                    if response.status == 200:
                        return dict(answer)
                    said = str(answer.get("error", "")) if isinstance(answer, dict) else ""
                    if response.status < 500:
                        hint = str(answer.get("hint", "")) if isinstance(answer, dict) else ""
                        raise Refused(said or f"the registry refuses ({response.status})", hint=hint)
            if monotonic() > until:
                raise Refused(
                    f"the registry at {self.url} does not seal anew: {said or 'no answer'}",
                    hint="see `salur status`; what was done stays done, so run it again",
                )
            await asyncio.sleep(_TRY_AGAIN_S)


async def reseal(registry: Registry, kind: Kind, key_id: str, progress: Progress, wait_s: float) -> Outcome:
    """Asks for all, and waits up to `wait_s` altogether for the stages. May be interrupted and repeated at any time.

    Raises Refused, Away, NeverRan, SalurError when a database does not answer.
    """
    outcome = Outcome(key_id, kind)
    settings = databases()
    timeout = aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        counts = await count_dependents(kind, key_id)
        while True:
            if any(counts.values()):
                outcome.rounds += 1
                outcome.places = {}
            for dependent in DEPENDENTS[kind]:
                if counts[dependent.place]:
                    progress.begin(dependent.place, counts[dependent.place])
                    await _ask_for(session, registry, settings, dependent, outcome, progress)
            progress.begin("until all stages have read it", 0)
            since = monotonic()
            outcome.behind = await passed(settings, SEALED_VALUES, wait_s)
            wait_s = max(0.0, wait_s - (monotonic() - since))
            counts = await count_dependents(kind, key_id)
            outcome.still = {place: count for place, count in counts.items() if count}
            if not outcome.still or outcome.behind or outcome.rounds >= ROUNDS_MAX:
                return outcome


async def _ask_for(
    session: aiohttp.ClientSession,
    registry: Registry,
    settings: Any,
    dependent: Dependent,
    outcome: Outcome,
    progress: Progress,
) -> None:
    done = outcome.places.setdefault(dependent.place, PlaceDone())
    async for recipients in recipients_under(settings, dependent, outcome.key_id):
        for start in range(0, len(recipients), RECIPIENTS_A_REQUEST):
            some = recipients[start : start + RECIPIENTS_A_REQUEST]
            answer = await registry.reseal(session, some)
            outcome.told += answer["told"]
            outcome.resealed += answer["resealed"]
            done.asked += len(some)
            done.unknown += len(answer["unknown"])
            done.left.update(f"{left['part']} {left['reason'].replace('_', ' ')}" for left in answer["left"])
            progress.advance(len(some))

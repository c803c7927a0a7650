"""How many NIKs one officer looks up: an account alone shall not try out who is registered, nor use up what My aid
needs of the look-up process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from shared.allowance import Allowance
from shared.errors import SalurError

HOUR_S: Final = 3600


class TooManySearches(SalurError):
    """This officer has looked for so many people lately."""

    http_status = 429


@dataclass(slots=True)
class Searches:
    """One a process. `an_hour` are let through an hour in the long run, and so many at once."""

    an_hour: int
    clock: Callable[[], float] = monotonic
    _held: dict[str, Allowance] = field(default_factory=dict)

    def take(self, subject: str) -> None:
        """Before each look-up of a NIK. Raises TooManySearches."""
        held = self._held.get(subject)
        if held is None:
            held = self._held[subject] = Allowance(self.an_hour / HOUR_S, self.an_hour, self.clock)
        if not held.take():
            raise TooManySearches("so many searches by NIK are not let through", hint="wait some minutes")

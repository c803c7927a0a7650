"""Keys that events name and this process does not hold: waited for, but never for ever.

Two things look alike. A rotation has not reached this machine: then waiting is right, for all events from now on are
sealed so. Or the id is damaged or made up, and no such key will ever come. So a key is waited for a stated time, and
its partition stands meanwhile; after a wait in vain nothing is waited for during IMPATIENT_S, because made-up ids come
in any number and a rotation does not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic

import structlog

from shared.privacy.keyring import Keyring

log = structlog.get_logger()

IMPATIENT_S = 3_600.0


@dataclass(slots=True)
class AwaitedKeys:
    """What one process waits for."""

    keyring: Keyring
    wait_s: float
    _since: dict[str, float] = field(default_factory=dict)
    _impatient_until: float = 0.0

    def waits_for(self, key_id: str) -> bool:
        """Whether an event that lacks this key is to be held back; else it belongs into the dead letters."""
        at = monotonic()
        since = self._since.get(key_id)
        if since is None:
            if at < self._impatient_until or self.wait_s <= 0:
                return False
            self._since[key_id] = at
            log.error("events name a key that is not held, it is waited for", key_id=key_id, wait_s=self.wait_s)
            return True
        if at - since < self.wait_s:
            return True
        del self._since[key_id]
        self._impatient_until = at + IMPATIENT_S
        log.critical("the key did not come, its events go to the dead letters", key_id=key_id)
        return False

    def over(self, key_ids: Iterable[str]) -> bool:
        """Whether the wait for any of these keys has ended: it came, or its time is up."""
        at = monotonic()
        for key_id in key_ids:
            if self.keyring.knows(key_id):
                log.warning("the key is here, its events are handled", key_id=key_id)
                self._since.pop(key_id, None)
                return True
            if at - self._since.get(key_id, 0.0) >= self.wait_s:
                return True
        return False

"""Posts alerts to a webhook: at least once, with the event's own id, signed.

The body is the CloudEvent as it stands on its topic. `X-Salur-Signature` is `t=SECONDS,v1=HEX`, HMAC-SHA-256 with the
shared secret over `SECONDS.BODY`: whoever receives it compares it, and refuses what is older than five minutes.
"""

import asyncio
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp
import structlog

from services.monitor import store
from services.monitor.metrics import DELIVERIES
from services.monitor.store import Delivered
from shared import clock
from shared.events.envelope import CONTENT_TYPE
from shared.runtime.backoff import Backoff
from shared.runtime.emit import Outbox

log = structlog.get_logger()

AT_ONCE: Final = 20
TIMEOUT_S: Final = 10.0
CLAIM_S: Final = 30.0
RETRY_FIRST_S, RETRY_MOST_S = 2.0, 900.0
ATTEMPTS_MAX: Final = 110
"""About a day of trying; then it is given up, and only the console and the topic tell."""


@dataclass(slots=True)
class Webhook:
    """`turn` is a worker's turn over due deliveries."""

    outbox: Outbox
    url: str
    secret: bytes
    now: Callable[[], datetime] = clock.now
    _session: aiohttp.ClientSession | None = None

    async def turn(self) -> int:
        at = self.now()
        async with self.outbox.transaction() as transaction:
            rows = await store.claim_deliveries(transaction.tx, at, at + timedelta(seconds=CLAIM_S), AT_ONCE)
        if not rows:
            return 0
        outcomes = await asyncio.gather(*(self._post(row) for row in rows))
        await store.settle_deliveries(self.outbox.pool, self._settled(rows, outcomes))
        return sum(outcomes)

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def _post(self, row: Any) -> bool:
        """Whether it was taken (any 2xx). A redirect is none: the address is this deployment's setting."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        headers = {
            "Content-Type": CONTENT_TYPE,
            "X-Salur-Event": row["event_id"],
            "X-Salur-Signature": signature(self.secret, row["body"], int(self.now().timestamp())),
        }
        try:
            async with self._session.post(
                self.url, data=row["body"], headers=headers, allow_redirects=False
            ) as response:
                taken, why = 200 <= response.status < 300, str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            taken, why = False, type(error).__name__
        DELIVERIES.labels("taken" if taken else "failed").inc()
        if not taken:
            log.warning("the webhook did not take an alert", event_id=row["event_id"], why=why, attempt=row["attempts"])
        return taken

    def _settled(self, rows: Sequence[Any], outcomes: Sequence[bool]) -> list[Delivered]:
        at, settled = self.now(), []
        for row, taken in zip(rows, outcomes, strict=True):
            if taken:
                settled.append(Delivered(row["event_id"], at, None, at))
            elif row["attempts"] >= ATTEMPTS_MAX:
                log.error("the webhook was given up", event_id=row["event_id"], attempts=row["attempts"])
                settled.append(Delivered(row["event_id"], None, at, at))
            else:
                pause_s = Backoff(RETRY_FIRST_S, RETRY_MOST_S, row["attempts"] - 1).next_s()
                settled.append(Delivered(row["event_id"], None, None, at + timedelta(seconds=pause_s)))
        return settled


def signature(secret: bytes, body: bytes, at_s: int) -> str:
    digest = hmac.digest(secret, b"%d.%b" % (at_s, body), "sha256").hex()
    return f"t={at_s},v1={digest}"

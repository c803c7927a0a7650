"""Posting webhooks: many statuses in one POST, signed, again and again until the receiver answers 200."""

import asyncio
import hashlib
import hmac
import logging
import random
import time
from collections import defaultdict
from contextlib import suppress

import aiohttp
import orjson

from simulators.carrier import payloads, store
from simulators.group_commit import GroupCommit

STATUSES_MAX = 100
POSTS_AT_ONCE = 4
LOOK_EVERY_S = 0.03
ANSWER_WITHIN_S = 10.0
FIRST_PAUSE_S = 0.25

_log = logging.getLogger("hooks")


class Hooks:
    """Posts what is due to `url`. At least once: a receiver meets everything, some of it more than once.

    A refusal (any answer but 200) puts off the statuses of that POST alone; a receiver that cannot be reached at all
    puts off everything. Pauses double up to `pause_max_s`.
    """

    def __init__(self, database: GroupCommit, url: str, secret: str, pause_max_s: float) -> None:
        self._database = database
        self._url = url
        self._secret = secret.encode()
        self._pause_max_s = pause_max_s
        self._in_flight: set[int] = set()
        self._places = asyncio.Semaphore(POSTS_AT_ONCE)
        self._away = 0

    async def run(self) -> None:
        """Post until cancelled."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as posts:
            while True:
                found = await self._due()
                for phone_number_id, hooks in _by_number(found).items():
                    await self._places.acquire()
                    posting = posts.create_task(self._post(session, phone_number_id, hooks))
                    if self._away:  # ask with one POST at a time whether the receiver is back
                        await posting
                        await asyncio.sleep(self._pause_s(self._away) if self._away else 0)
                if len(found) < STATUSES_MAX:
                    await asyncio.sleep(LOOK_EVERY_S)

    async def _due(self) -> list[store.Hook]:
        in_flight = list(self._in_flight)
        found = await self._database.run(
            lambda connection: store.due_hooks(connection, time.time(), STATUSES_MAX, in_flight)
        )
        self._in_flight.update(hook.id for hook in found)
        return found

    async def _post(self, session: aiohttp.ClientSession, phone_number_id: str, hooks: list[store.Hook]) -> None:
        ids = [hook.id for hook in hooks]
        try:
            body = orjson.dumps(payloads.body(phone_number_id, hooks))
            status = await self._answer(session, body)
            if status == 200:
                self._away = 0
                await self._database.run(lambda connection: store.drop_hooks(connection, ids))
            elif status is None:
                self._away += 1
            else:
                self._away = 0
                due_at = time.time() + self._pause_s(1 + max(hook.attempts for hook in hooks))
                await self._database.run(lambda connection: store.delay_hooks(connection, ids, due_at))
        finally:
            self._in_flight.difference_update(ids)
            self._places.release()

    async def _answer(self, session: aiohttp.ClientSession, body: bytes) -> int | None:
        """The HTTP status, or None when no answer came."""
        signature = "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "X-Hub-Signature-256": signature}
        with suppress(aiohttp.ClientError, TimeoutError):
            async with session.post(self._url, data=body, headers=headers) as response:
                await response.read()
                return response.status
        if not self._away:
            _log.warning("the receiver of webhooks does not answer; trying again until it does")
        return None

    def _pause_s(self, failures: int) -> float:
        pause_s = min(self._pause_max_s, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30))
        return pause_s * random.uniform(0.5, 1.0)


def _by_number(hooks: list[store.Hook]) -> dict[str, list[store.Hook]]:
    grouped: dict[str, list[store.Hook]] = defaultdict(list)
    for hook in hooks:
        grouped[hook.phone_number_id].append(hook)
    return grouped

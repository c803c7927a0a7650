"""A crash in every gap of the six steps leaves what an undisturbed run leaves."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.events import EligibilityDecided
from shared.privacy.keyring import Keyring
from shared.runtime import emit, loop, positions, publisher, turn
from shared.settings import ServiceSettings
from tests.integration import toy as toys
from tests.integration.toy import Toy, accepted, feed, registrations, rows, until

COUNT = 300


class Crash(BaseException):
    """The process ends here."""


def once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool, call: int = 1) -> asyncio.Event:
    """Lets the `call`-th call of a coroutine function end in a crash, before or after it has done its work."""
    original: Callable[..., Any] = getattr(owner, name)
    crashed, calls = asyncio.Event(), 0

    async def crashing(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != call:
            return await original(*args, **kwargs)
        if after:
            await original(*args, **kwargs)
        crashed.set()
        raise Crash

    monkeypatch.setattr(owner, name, crashing)
    return crashed


GAPS: dict[str, tuple[Any, str, bool, int]] = {
    "polled, transaction not open": (turn.Turn, "handle", False, 1),
    "input position moved": (positions, "move", True, 1),
    "handled, nothing emitted": (Toy, "handle", True, 1),
    "outbox written, not committed": (emit.Outbox, "_write", True, 1),
    "committed, nothing published": (publisher.AIOKafkaProducer, "send_batch", False, 1),
    "some record batches published": (publisher.AIOKafkaProducer, "send_batch", True, 3),
    "published, not deleted": (publisher.Publisher, "_delete", False, 1),
    "deleted, offsets not committed": (publisher.Publisher, "_delete", True, 1),
    "offsets committed": (loop.Loop, "_commit_offsets", True, 1),
    "second turn, input position moved": (positions, "move", True, 2),
    "second turn, published, not deleted": (publisher.Publisher, "_delete", False, 2),
}


@pytest.fixture
async def settings(kafka: str, database: str, tmp_path: Path) -> ServiceSettings:
    made = await toys.fresh(kafka, database, tmp_path, batch_messages_max=100)
    await feed(made, registrations(COUNT))
    return made


@pytest.mark.parametrize("gap", GAPS)
async def test_a_crash_changes_nothing(gap: str, settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = Keyring.load(settings.keys)
    owner, name, after, call = GAPS[gap]
    crashed = once(monkeypatch, owner, name, after=after, call=call)
    process = await toys.start(settings, Toy(), keyring)
    await asyncio.wait_for(crashed.wait(), 30)
    await process.kill()
    monkeypatch.undo()

    async with toys.running(settings, Toy(), keyring) as again:

        async def drained() -> bool:
            return len(await rows(settings)) == COUNT and await waiting(again) == 0

        await until(drained)
    assert await rows(settings) == {event.subject: event.id for event in registrations(COUNT)}
    decisions = await accepted(settings, "eligibility.decided", EligibilityDecided)
    assert len(decisions) == COUNT
    assert {d.id for d in decisions} == {decision_id(event) for event in registrations(COUNT)}


async def waiting(process: toys.Running) -> int:
    count: int = await process.publisher.pool.fetchval("SELECT count(*) FROM outbox")
    return count


def decision_id(event: Any) -> str:
    """Ids follow from the cause, so an undisturbed run makes exactly these."""
    template = toys.example(EligibilityDecided).data
    return toys.caused_by(event.cause, "eligibility", template, subject=event.subject, time=toys.AT).id

"""A restored database of the registry: every answer that was given is known again, and none is given twice."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.registry.domain.submission import FLAG_CODES
from services.registry.recovery import RegistryRecovery
from services.registry.resealing_api import Wanted, reseal_all
from shared.clock import now
from shared.events import Event, RecipientResealed
from shared.events.codec import decode, encode
from shared.events.topics import intake_topic, outputs_of, topic_named
from shared.kafka import ensure_topics
from shared.privacy import Keyring, keyfile
from shared.runtime import presence
from shared.runtime.recovery import CannotRecover, Recovered, recover
from shared.runtime.stage import Stage
from shared.runtime.turn import Turn
from shared.settings import ServiceSettings
from tests.integration.registry_desk import MODELS, RIGHT, SOURCES, Desk, at, nik_of, open_desk
from tests.integration.restoring import (
    INPUT_POSITIONS,
    OUTPUT_POSITIONS,
    audited,
    backup,
    dropping,
    pictured,
    places_of,
    publish_own,
    refuses,
    send,
    take_in,
    with_database,
)
from tests.integration.toy import empty_topics, reader, settings_for

PARTITIONS = 8
EVERYTHING = (
    "SELECT * FROM person ORDER BY 1",
    "SELECT * FROM submission ORDER BY source, id",
    "SELECT * FROM reused_id ORDER BY 1, 2, 3",
    "SELECT * FROM recipient ORDER BY 1",
    "SELECT * FROM flag ORDER BY 1, 2",
    OUTPUT_POSITIONS,
)
REGISTERED = (
    "SELECT recipient_id, won_submitted_at, won_source, won_id, content_digest, family_id, village, decile "
    "FROM recipient ORDER BY 1",
    "SELECT * FROM flag ORDER BY 1, 2",
    "SELECT source, id, kind, content_digest, recipient_id, answer = 'rejected', problems, submitted_at "
    "FROM submission ORDER BY 1, 2",
    "SELECT source, id, content_digest FROM reused_id ORDER BY 1, 2, 3",
    "SELECT recipient_id FROM person ORDER BY 1",
)
"""What does not depend on which of several changes were told: the registry settles whatever comes in any order."""


@dataclass
class Intake:
    """Sources that send a bit of everything, at random."""

    settings: ServiceSettings
    chance: random.Random
    sent: list[tuple[str, str, dict[str, Any], Any]] = field(default_factory=list)
    count: int = 0

    async def send(self, desk: Desk, count: int) -> None:
        messages: dict[str, list[tuple[str, bytes]]] = {topic: [] for topic in SOURCES.topics()}
        for _ in range(count):
            topic, event = self._submission(desk)
            messages[topic].append((event.id, encode(event)))
        junk = intake_topic(MODELS["flag"], "bkn")
        messages[junk].append((f"junk-{self.count}", b"no event"))
        for topic, some in messages.items():
            await send(self.settings, topic, some)

    def _submission(self, desk: Desk) -> tuple[str, Event[Any]]:
        chance = self.chance
        self.count += 1
        kind: Any = "flag" if chance.random() < 0.4 else "registration"
        source = chance.choice(("polman", "bkn")) if kind == "flag" else "polman"
        submission_id = f"{kind}-{self.count}"
        content = self._content(kind)
        time = at(8) + timedelta(minutes=chance.randrange(600))
        match chance.randrange(8):
            case 0 if self.sent:  # once more, in every detail or with another content
                kind, submission_id, before, (source, time) = chance.choice(self.sent)
                content = before if chance.random() < 0.5 else self._content(kind)
            case 1:
                time += timedelta(days=3000)
            case 2:
                content["nik"] = chance.choice(("12", "9904015708900001"))
        self.sent.append((kind, submission_id, content, (source, time)))
        event = desk.event(submission_id, content, time=time, source=source, kind=kind)
        return intake_topic(MODELS[kind], source), event

    def _content(self, kind: str) -> dict[str, Any]:
        chance = self.chance
        nik = nik_of(chance.randint(1, 6))
        if kind == "registration":
            return {**RIGHT, "nik": nik, "decile": chance.randint(1, 2)}
        since = f"2026-0{chance.randint(1, 9)}-01"
        return {"nik": nik, "flag": chance.choice(FLAG_CODES[:2]), "since": since, "raised": chance.random() < 0.7}


@dataclass
class Flow:
    """The registry's databases and topics, one database in use at a time."""

    settings: ServiceSettings
    folder: Path
    intake: Intake

    def of(self, database: str) -> ServiceSettings:
        return with_database(self.settings, database)

    @asynccontextmanager
    async def desk(self, database: str) -> AsyncIterator[Desk]:
        async with open_desk(database, self.folder) as desk:
            yield desk

    async def read(self, desk: Desk, at_once: int = 7) -> int:
        turn = Turn(Stage("registry", SOURCES.topics(), desk.handler().handle), desk.outbox, desk.keyring)
        return await take_in(self.settings, turn, SOURCES.topics(), at_once)

    async def go_on(self, database: str, count: int) -> None:
        """So many submissions come, are answered, and the answers published."""
        async with self.desk(database) as desk:
            await self.intake.send(desk, count)
            await self.read(desk)
            await self.publish(desk)

    async def publish(self, desk: Desk, lost: Collection[tuple[str, int]] = ()) -> None:
        await publish_own(self.settings, "registry", desk.pool, lost)

    async def recover(self, desk: Desk, database: str, **options: Any) -> Recovered:
        return await recover(self.of(database), RegistryRecovery(desk.handler(), SOURCES.topics()), **options)

    async def check(self, desk: Desk, database: str) -> None:
        """Every submission has one answer on the topics, revisions only grow, and the audit finds nothing."""
        answers: Counter[tuple[str, str]] = Counter()
        events: Counter[str] = Counter()
        revisions: dict[tuple[str, str], int] = {}
        for topic in outputs_of("registry"):
            async with reader(self.settings, topic) as records:
                model = topic_named(topic).model
                assert model
                for record in records:
                    event = decode(model, record.value)
                    events[event.id] += 1
                    if topic.startswith("dead-letter") or topic == RecipientResealed.TYPE:
                        continue
                    if [p.code for p in getattr(event.data, "problems", ())] != ["id_reused"]:
                        answers[event.data.submission.source, event.data.submission.id] += 1
                    if topic == "recipient.registered":
                        key = (topic, event.subject)
                        assert event.data.revision == revisions.get(key, 0) + 1
                        revisions[key] = event.data.revision
        assert max(events.values()) == 1
        assert max(answers.values()) == 1
        wanted = {(source, submission_id) for _, submission_id, _, (source, _) in self.intake.sent}
        assert answers.keys() == wanted
        result = await audited(self.of(database), "registry")
        assert [finding.detail for finding in result.findings] == []


@pytest.fixture
async def flow(kafka: str, database: str, tmp_path: Path) -> Flow:
    settings = settings_for(kafka, database, tmp_path / "keys.json")
    await empty_topics(settings)
    await ensure_topics(settings, SOURCES.topics())
    return Flow(settings, tmp_path, Intake(settings, random.Random(7)))


async def test_every_answer_is_known_again(flow: Flow, database: str) -> None:
    """Everything was published: the recovered database is the lost one, row for row."""
    await flow.go_on(database, 30)
    copy = await backup(database)
    async with dropping(copy):
        async with flow.desk(database) as desk:
            await flow.intake.send(desk, 60)
            count = await flow.read(desk)
            await flow.publish(desk)
            expected = await pictured(desk.pool, EVERYTHING)
            reached = await pictured(desk.pool, (INPUT_POSITIONS,))
        async with flow.desk(copy) as desk:
            assert await refuses(flow.settings, "registry", desk.pool)
            before = await pictured(desk.pool, EVERYTHING)
            tried = await flow.recover(desk, copy, dry_run=True)
            assert await pictured(desk.pool, EVERYTHING) == before
            done = await flow.recover(desk, copy)
            assert (done.imported, done.summary) == (tried.imported, tried.summary)
            assert (done.older, done.dead_letters, done.told) == (True, 1, {})
            assert await pictured(desk.pool, EVERYTHING) == expected
            assert not await refuses(flow.settings, "registry", desk.pool)
            assert (await flow.recover(desk, copy)).older is False
            assert await flow.read(desk, at_once=11) == count
            assert await pictured(desk.pool, EVERYTHING) == expected, "inputs that are read again have no effect"
            assert await pictured(desk.pool, (INPUT_POSITIONS,)) == reached
            await flow.intake.send(desk, 30)
            await flow.read(desk)
            await flow.publish(desk)
            await flow.check(desk, copy)


async def test_values_under_newer_keys_are_known_again(flow: Flow, database: str) -> None:
    """Their own events tell them; what the submissions said is not sealed once more."""
    await flow.go_on(database, 30)
    copy = await backup(database)
    async with dropping(copy):
        await flow.go_on(database, 20)
        async with flow.desk(database) as desk:
            old = [keyfile.read(flow.settings.keys).keys[kind][-1].id for kind in ("eligibility", "payment", "contact")]
            for kind in ("eligibility", "payment", "contact"):
                keyfile.rotate(flow.settings.keys, kind, now=now() - timedelta(hours=1))
            keyring = Keyring.load(flow.settings.keys)
            people = [row[0] for row in await desk.pool.fetch("SELECT recipient_id FROM person")]
            for act in ("reseal-1", "reseal-2"):
                await reseal_all(desk.outbox, keyring, Wanted(act=act, recipients=people))
            await flow.publish(desk)
            expected = await pictured(desk.pool, EVERYTHING)
        for key_id in old:
            keyfile.destroy(flow.settings.keys, key_id, in_use=lambda _: {})
        async with flow.desk(copy) as desk:
            done = await flow.recover(desk, copy)
            assert done.imported[RecipientResealed.TYPE] == 2 * len(people)
            assert await pictured(desk.pool, EVERYTHING) == expected
            await flow.read(desk)
            await flow.check(desk, copy)


LOST = (
    ("recipient.registered",),
    ("registration.unchanged", "flag.rejected", "dead-letter.registry"),
    ("recipient.flagged", "registration.rejected"),
    outputs_of("registry"),
)


async def test_whatever_was_not_published_is_answered_now(flow: Flow, database: str) -> None:
    """Restored again and again; each time another part of what was committed had not been published."""
    await flow.go_on(database, 20)
    async with AsyncExitStack() as copies:
        for lost in LOST:
            copy = await backup(database)
            await copies.enter_async_context(dropping(copy))
            async with flow.desk(database) as desk:
                await flow.intake.send(desk, 30)
                await flow.read(desk)
                expected = await pictured(desk.pool, REGISTERED)
                await flow.publish(desk, [place for place in places_of("registry", PARTITIONS) if place[0] in lost])
            database = copy
            async with flow.desk(database) as desk:
                await flow.recover(desk, database, restored=True)
                await flow.read(desk, at_once=5)
                assert await pictured(desk.pool, REGISTERED) == expected, lost
                await flow.publish(desk)
        async with flow.desk(database) as desk:
            await flow.check(desk, database)


async def test_it_refuses_what_is_not_its_own_and_while_an_instance_runs(
    flow: Flow, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flow.go_on(database, 10)
    copy = await backup(database)
    async with dropping(copy):
        await flow.go_on(database, 10)
        async with flow.desk(copy) as desk:
            before = await pictured(desk.pool, EVERYTHING)
            monkeypatch.setattr(presence, "LEAVES_S", 0.5)
            running = await presence.enter(copy, "registry")
            with pytest.raises(presence.StillRuns, match="a process of registry works on this database"):
                await flow.recover(desk, copy)
            running.terminate()
            await desk.pool.execute(
                "UPDATE output_position SET digest = sha256('another') WHERE topic = 'recipient.registered'"
            )
            with pytest.raises(CannotRecover, match=r"recipient\.registered/\d up to sequence \d+ is not what"):
                await flow.recover(desk, copy)
            assert {**await pictured(desk.pool, EVERYTHING), OUTPUT_POSITIONS: []} == {**before, OUTPUT_POSITIONS: []}

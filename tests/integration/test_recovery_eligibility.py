"""A restored database of eligibility: what was decided is known again; nobody is decided twice on the same facts."""

import random
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from services.eligibility import recovery
from services.eligibility.service import INPUTS
from services.eligibility.settings import EligibilitySettings
from shared.events import EligibilityDecided, Event
from shared.postgres import migrate
from shared.privacy import Keyring, keyfile
from shared.runtime.recovery import CannotRecover, Recovered, recover
from shared.settings import ServiceSettings
from tests.integration.eligibility_desk import CHILD, ELDER, Desk, Registry, family, recipient
from tests.integration.restoring import (
    INPUT_POSITIONS,
    OUTPUT_POSITIONS,
    audited,
    backup,
    dropping,
    pictured,
    places_of,
    publish_as,
    publish_own,
    refuses,
    take_in,
    with_database,
)
from tests.integration.toy import accepted, empty_topics, settings_for
from tests.stack import fresh_database

PARTITIONS = 8
EVERYTHING = (
    "SELECT * FROM recipient ORDER BY 1",
    "SELECT * FROM decision ORDER BY 1, 2",
    "SELECT * FROM family_payee ORDER BY 1, 2",
    OUTPUT_POSITIONS,
)
FACTS = ("SELECT recipient_id, registration_revision, flag_revision, family_id, decile FROM recipient ORDER BY 1",)
NOT_DECIDED = """
    SELECT r.recipient_id FROM recipient AS r LEFT JOIN decision AS d USING (recipient_id)
    GROUP BY r.recipient_id
    HAVING count(*) FILTER (
        WHERE (d.registration_revision, d.flag_revision) = (r.registration_revision, r.flag_revision)
    ) < 3
"""
PAID_TWICE = """
    SELECT r.family_id, d.programme FROM recipient AS r JOIN decision AS d USING (recipient_id)
    WHERE d.outcome = 'eligible' AND d.programme IN ('sembako', 'pkh')
    GROUP BY 1, 2 HAVING count(*) > 1
"""


@dataclass
class People:
    """Families of one or two whose registrations and flags change, and are sealed anew, at random."""

    registry: Registry
    chance: random.Random
    registered: dict[int, int]
    flagged: dict[int, int]
    last: dict[tuple[int, str], Event[Any]] = field(default_factory=dict)

    def events(self, count: int) -> list[Event[Any]]:
        made: list[Event[Any]] = []
        for _ in range(count):
            number = self.chance.randint(1, 24)
            stands = self.last.get((number, "registered")), self.last.get((number, "flagged"))
            if any(stands) and self.chance.random() < 0.3:
                made.append(self.registry.resealed(*stands, self.chance.getrandbits(60)))
                continue
            if number in self.registered and self.chance.random() < 0.3:
                revision = self.flagged[number] = self.flagged.get(number, 0) + 1
                flags = ("deceased",) if self.chance.random() < 0.5 else ()
                made.append(self.registry.flagged(recipient(number), *flags, revision=revision))
                self.last[number, "flagged"] = made[-1]
                continue
            revision = self.registered[number] = self.registered.get(number, 0) + 1
            moved = 100 if self.chance.random() < 0.2 else 0
            made.append(
                self.registry.registered(
                    recipient(number),
                    family(moved + number // 2),
                    revision=revision,
                    decile=self.chance.choice((1, 2, 6)),
                    role=self.chance.choice(("head", "spouse")),
                    members=self.chance.choice(((CHILD,), (ELDER,), ())),
                )
            )
            self.last[number, "registered"] = made[-1]
        return made


@dataclass
class Flow:
    """The registry keeps its own database; eligibility's is lost and restored."""

    settings: ServiceSettings
    registry: ServiceSettings
    people: People

    def of(self, database: str) -> ServiceSettings:
        return with_database(self.settings, database)

    async def decide(self, database: str, events: Sequence[Event[Any]], lost: Collection[tuple[str, int]] = ()) -> int:
        """These events happen; what was committed for the lost places is never published."""
        await publish_as(self.registry, "registry", events)
        desk = await Desk.open(database, self.settings.keys)
        try:
            count = await take_in(self.of(database), desk.turn, INPUTS, at_once=5)
            await publish_own(self.settings, "eligibility", desk.pool, lost)
        finally:
            await desk.close()
        return count

    async def recover(self, database: str, **options: Any) -> Recovered:
        keyring = Keyring.load(self.settings.keys, only=recovery.KEYS)
        return await recover(self.of(database), recovery.build(EligibilitySettings(), keyring), **options)

    async def picture(self, database: str, queries: Sequence[str]) -> dict[str, list[tuple[Any, ...]]]:
        desk = await Desk.open(database, self.settings.keys)
        try:
            return await pictured(desk.pool, queries)
        finally:
            await desk.close()

    async def check(self, database: str) -> None:
        """Everybody is decided on what is known, one of a family, each revision told once, and the audit is clean."""
        assert await self.picture(database, (NOT_DECIDED, PAID_TWICE)) == {NOT_DECIDED: [], PAID_TWICE: []}
        revisions: dict[tuple[str, str], list[int]] = {}
        for event in await accepted(self.of(database), EligibilityDecided.TYPE, EligibilityDecided):
            revisions.setdefault((event.subject, event.data.programme), []).append(event.data.revision)
        assert revisions
        assert all(told == list(range(1, len(told) + 1)) for told in revisions.values())
        assert [f.detail for f in (await audited(self.of(database), "eligibility")).findings] == []


@pytest.fixture
async def flow(kafka: str, postgres: str, database: str, tmp_path: Path) -> Any:
    keyfile.create(tmp_path / "keys.json")
    settings = settings_for(kafka, database, tmp_path / "keys.json")
    await empty_topics(settings)
    await migrate(database, "eligibility")
    upstream = await fresh_database(postgres)
    people = People(Registry(Keyring.load(settings.keys)), random.Random(3), {}, {})
    async with dropping(upstream):
        yield Flow(settings, settings_for(kafka, upstream, settings.keys), people)


async def test_every_decision_is_known_again(flow: Flow, database: str) -> None:
    """Everything was published: the recovered database is the lost one, row for row."""
    await flow.decide(database, flow.people.events(30))
    copy = await backup(database)
    async with dropping(copy):
        count = await flow.decide(database, flow.people.events(40))
        expected = await flow.picture(database, EVERYTHING)
        reached = await flow.picture(database, (INPUT_POSITIONS,))
        desk = await Desk.open(copy, flow.settings.keys)
        assert await refuses(flow.settings, "eligibility", desk.pool)
        await desk.close()
        before = await flow.picture(copy, EVERYTHING)
        tried = await flow.recover(copy, dry_run=True)
        assert await flow.picture(copy, EVERYTHING) == before
        done = await flow.recover(copy)
        assert (done.older, done.told, done.imported) == (True, {}, tried.imported)
        assert await flow.picture(copy, EVERYTHING) == expected
        assert (await flow.recover(copy)).older is False
        assert await flow.decide(copy, []) == count
        assert await flow.picture(copy, EVERYTHING) == expected, "inputs that are read again have no effect"
        assert await flow.picture(copy, (INPUT_POSITIONS,)) == reached
        await flow.decide(copy, flow.people.events(20))
        await flow.check(copy)


async def test_what_was_not_published_is_decided_now(flow: Flow, database: str) -> None:
    """Restored again and again; each time another part of the decisions had not been published."""
    await flow.decide(database, flow.people.events(20))
    async with AsyncExitStack() as copies:
        for share in (0.3, 0.7, 1.0):
            copy = await backup(database)
            await copies.enter_async_context(dropping(copy))
            lost = [place for place in places_of("eligibility", PARTITIONS) if flow.people.chance.random() < share]
            await flow.decide(database, flow.people.events(25), lost)
            expected = await flow.picture(database, FACTS)
            database = copy
            await flow.recover(database, restored=True)
            await flow.decide(database, [])
            assert await flow.picture(database, FACTS) == expected
            await flow.check(database)


async def test_older_programmes_are_refused(flow: Flow, database: str) -> None:
    await flow.decide(database, flow.people.events(10))
    copy = await backup(database)
    async with dropping(copy):
        await flow.decide(database, flow.people.events(10))
        keyring = Keyring.load(flow.settings.keys, only=recovery.KEYS)
        importer = recovery.build(EligibilitySettings(), keyring)
        importer.rules = replace(importer.rules, rules=importer.rules.rules[1:])
        with pytest.raises(CannotRecover, match="have no such programme"):
            await recover(flow.of(copy), importer)

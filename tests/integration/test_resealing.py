"""Values move to newer keys through all four stages, whatever comes in between and in whatever order."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.notify.recovery import NotifyRecovery
from services.payout import configuration
from services.payout.recovery import PayoutRecovery
from services.registry import resealing_api
from services.registry.resealing_api import RECIPIENTS_MAX
from shared.clock import now
from shared.events import RecipientResealed
from shared.events.topics import replay_topic
from shared.postgres import migrate
from shared.privacy import keyfile
from shared.runtime import Batch
from shared.runtime.http import create_app
from shared.runtime.stage import Received
from tests.fuzz.serving import served
from tests.integration import eligibility_desk
from tests.integration.registry_desk import open_desk
from tests.integration.resealed_flow import KINDS, TOKEN, Flow
from tests.stack import fresh_database

RESEALED = RecipientResealed.TYPE
DECIDED = "eligibility.decided"


@asynccontextmanager
async def flowing(database: str, folder: Path, seed: int = 0) -> AsyncIterator[Flow]:
    for service in ("eligibility", "payout", "notify"):
        await migrate(database, service)
    async with open_desk(database, folder) as registry:
        desk = await eligibility_desk.Desk.open(database, folder / "keys.json")
        router = resealing_api.router(registry.outbox, registry.keyring, SecretStr(TOKEN))
        async with served(create_app("registry", list, (router,))) as url:
            flow = Flow(registry, desk.office, database, url, random.Random(seed))
            yield flow
            await flow.close()
        await desk.close()


@pytest.fixture
async def flow(database: str, tmp_path: Path) -> AsyncIterator[Flow]:
    async with flowing(database, tmp_path) as made:
        yield made


def destroy(flow: Flow, key_ids: list[str]) -> None:
    for key_id in key_ids:
        keyfile.destroy(flow.keys, key_id, in_use=lambda _: {})


async def test_all_places_move_and_the_old_keys_can_go(flow: Flow) -> None:
    await flow.register(1, 1)
    await flow.register(2, 1)
    await flow.flag(2, 1)
    await flow.flag(3, 1)
    await flow.settle()
    before = await flow.decided()
    old = flow.rotate(*KINDS)
    assert len(await flow.under(old)) == 10, "every place depends on the keys before"
    status, answer = await flow.reseal([flow.recipient(n) for n in (3, 1, 2, 1)])
    assert (status, answer) == (200, {"told": 3, "resealed": 2, "unknown": [], "left": []})
    await flow.settle()
    assert await flow.under(old) == {}
    assert await flow.decided() == before
    destroy(flow, old)
    await flow.check_values()
    await flow.flag(3, 2, raised=False)
    await flow.register(1, 2)
    await flow.register(3, 1)
    await flow.settle()
    await flow.check_values()
    assert {"eligible", "ineligible"} <= {value for row in await flow.decided() for value in row}


async def test_who_is_not_known_is_named_and_who_may_not_ask_is_refused(flow: Flow) -> None:
    await flow.register(1, 1)
    stranger = "r-" + "0" * 32
    assert await flow.reseal([stranger, flow.recipient(1)]) == (
        200,
        {"told": 1, "resealed": 0, "unknown": [stranger], "left": []},
    )
    for token in ("", "wrong", TOKEN[:-1]):
        status, answer = await flow.reseal([stranger], token)
        assert (status, answer["code"]) == (401, "NotAKeeper")
    assert (await flow.reseal([]))[0] == 422
    assert (await flow.reseal(["r-1"]))[0] == 422
    assert (await flow.reseal([f"r-{n:032x}" for n in range(RECIPIENTS_MAX + 1)]))[0] == 422


async def test_a_value_of_another_registration_is_left_alone_and_told_again(flow: Flow) -> None:
    """The newer value comes before the decision that carries the older one: the row is under the older key, and the
    next telling moves it. An account of another registration never gets into a decision."""
    await flow.register(1, 1)
    await flow.settle()
    await flow.register(1, 2)
    old = flow.rotate(*KINDS)
    await flow.step("eligibility", "recipient.registered", 10)
    await flow.reseal([flow.recipient(1)])
    await flow.settle(but=[DECIDED])
    await flow.check_values()
    await flow.settle()
    await flow.check_values()
    assert set(await flow.under(old)) == {
        "payout: decision.payment",
        "payout: decision.contact",
        "notify: contact.contact",
    }
    await flow.reseal([flow.recipient(1)])
    await flow.settle()
    assert await flow.under(old) == {}
    await flow.check_values()


async def test_an_older_telling_never_follows_a_newer_one(flow: Flow) -> None:
    """Read again from an earlier position, or put back from the dead letters: keys that are gone do not come back."""
    await flow.register(1, 1)
    await flow.flag(1, 1)
    await flow.flag(1, 2, raised=False)
    await flow.settle()
    tellings = []
    old: list[str] = []
    for _ in range(2):
        old += flow.rotate(*KINDS)
        await flow.reseal([flow.recipient(1)])
        tellings.append({stage: flow.waiting[stage, RESEALED][-1] for stage in ("eligibility", "payout", "notify")})
        await flow.settle()
    destroy(flow, old)
    await flow.check_values()
    for stage, (message, event) in tellings[0].items():
        again = message._replace(topic=replay_topic(stage), sequence=None)  # type: ignore[arg-type]
        await flow.take(stage, Batch([Received(message, event), Received(again, event)], event.time))
    assert await flow.under(old) == {}
    await flow.check_values()


@pytest.mark.parametrize("unknown", ["registration_revision = NULL", "registration_of = revision - 1"])
async def test_an_account_stays_where_nobody_knows_to_which_registration_it_belongs(flow: Flow, unknown: str) -> None:
    """It was decided before payout kept that, or a process of the version before took the decision."""
    await flow.register(1, 1)
    await flow.settle()
    connection = await flow.owner()
    await connection.execute(f"UPDATE payout.decision SET {unknown}")
    await connection.close()
    old = flow.rotate(*KINDS)
    await flow.reseal([flow.recipient(1)])
    await flow.settle()
    assert set(await flow.under(old)) == {"payout: decision.payment", "payout: decision.contact"}
    await flow.flag(1, 1)
    await flow.flag(1, 2, raised=False)
    await flow.settle()
    assert await flow.under(old) == {}, "the next decision brings the newer values, and says whose they are"
    await flow.check_values()


@pytest.mark.parametrize("stage", ["payout", "notify"])
async def test_a_recovery_takes_the_newest_values_in_whatever_order_inputs_are_read(flow: Flow, stage: str) -> None:
    """The newer value comes before the decision that brings the older one; in the lost database it had not."""
    await flow.register(1, 1)
    old = flow.rotate(*KINDS)
    await flow.reseal([flow.recipient(1)])
    await flow.settle(but=[DECIDED, RESEALED])
    importer = PayoutRecovery(configuration.load()) if stage == "payout" else NotifyRecovery()
    connection = await flow.owner()
    await connection.execute(f"SET search_path TO {stage}")
    async with connection.transaction():
        await importer.prepare(connection)
        for topic in (RESEALED, DECIDED):
            await importer.read_again(connection, flow.waiting.pop((stage, topic)))
        async for _ in importer.finish(connection, now()):
            pass
    await connection.close()
    assert [place for place in await flow.under(old) if place.startswith(stage)] == []


@pytest.mark.parametrize("seed", range(3))
async def test_in_any_order_rows_open_and_decisions_are_the_same(postgres: str, tmp_path: Path, seed: int) -> None:
    """The same happens twice to the same people, once with keys that rotate and values that are told at any moment."""
    outcomes = []
    for resealing in (False, True):
        chance, other = random.Random(seed), random.Random(-seed - 1)
        old: list[str] = []
        async with flowing(await fresh_database(postgres), tmp_path, seed) as flow:
            revisions: dict[int, int] = {}
            flags: dict[int, int] = {}
            for _ in range(40):
                person, what = chance.randint(1, 4), chance.random()
                if what < 0.2:
                    revisions[person] = revisions.get(person, 0) + 1
                    await flow.register(person, revisions[person])
                elif what < 0.35:
                    flags[person] = flags.get(person, 0) + 1
                    await flow.flag(person, flags[person], raised=bool(flags[person] % 2))
                else:
                    stage, topic = chance.choice(
                        [
                            ("eligibility", "recipient.registered"),
                            ("eligibility", "recipient.flagged"),
                            ("payout", DECIDED),
                            ("notify", DECIDED),
                        ]
                    )
                    await flow.step(stage, topic, chance.randint(1, 3))
                if resealing and other.random() < 0.5:
                    if other.random() < 0.4:
                        old += flow.rotate(*other.sample(KINDS, other.randint(1, 3)))
                    await flow.reseal(flow.recipient(n) for n in other.sample(range(1, 5), other.randint(1, 4)))
                if resealing:
                    await flow.step(other.choice(("eligibility", "payout", "notify")), RESEALED, other.randint(1, 4))
                    await flow.check_values()
            await flow.settle()
            await flow.check_values()
            if resealing:
                old += flow.rotate(*KINDS)
                await flow.reseal(flow.recipient(n) for n in range(1, 5))
                await flow.settle()
                assert await flow.under(old) == {}
                destroy(flow, old)
                await flow.check_values()
            outcomes.append(await flow.decided())
    assert outcomes[0] == outcomes[1] != []

"""New versions of rules: decided for everybody once, never back, never rewritten."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest

from services.eligibility.store import RulesGoBack
from shared.privacy import Keyring
from tests.integration.eligibility_desk import ELDER, Desk, Registry, family, first_desk, recipient

A, B = recipient(1), recipient(2)
CARD = family(1)


@pytest.fixture
def registry(keys: Path) -> Registry:
    return Registry(Keyring.load(keys))


@pytest.fixture
async def desk(database: str, keys: Path) -> AsyncIterator[Desk]:
    async with first_desk(database, keys) as desk:
        yield desk


@pytest.fixture
def programmes(tmp_path: Path) -> Path:
    """A folder with the programmes that come with Salur, to be changed."""
    folder = tmp_path / "programmes"
    shutil.copytree(str(files("services.eligibility") / "programmes"), folder)
    return folder


def new_version(folder: Path, programme: str, old: str, new: str, *, version: int = 2) -> None:
    file = folder / f"{programme}.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new).replace(f"version: {version - 1}", f"version: {version}"))


async def test_a_new_version_is_decided_for_everybody_once_in_bounded_turns(
    desk: Desk, registry: Registry, database: str, keys: Path, programmes: Path
) -> None:
    people = [(recipient(n), family(n % 30), 3 + n % 3) for n in range(40)]
    await desk.takes(*[registry.registered(who, card, decile=decile, members=[ELDER]) for who, card, decile in people])
    await desk.takes(registry.flagged(recipient(999), "deceased"))
    assert await desk.sweep.turn() == 0
    new_version(programmes, "sembako", "decile_max: 5", "decile_max: 4")
    newer = await Desk.open(database, keys, programmes=programmes, sent=desk.sent)
    sweep = type(newer.sweep)(newer.sweep.office, newer.sweep.outbox, rows_max=7)
    before = len(await desk.emitted())
    swept = 0
    while moved := sum(await asyncio.gather(sweep.turn(), sweep.turn())):
        assert moved <= 14
        swept += moved
    assert swept == 40
    fresh = [d for d in (await newer.emitted()) if d.data.revision > 1]
    assert len(fresh) == len(await newer.emitted()) - before
    assert {d.data.programme for d in fresh} == {"sembako"}
    assert {d.data.programme_version for d in fresh} == {2}
    assert len({d.id for d in fresh}) == len(fresh)
    assert len({d.causationid for d in fresh}) == 1
    assert {d.correlationid for d in fresh} == {f"{who}-1" for who, _, _ in people}
    for who, _, decile in people:
        assert ("decile_above_limit" in (await newer.current("sembako"))[who]["reasons"]) == (decile > 4)
    await newer.check()
    assert await desk.sweep.turn() == 0, "an instance with the earlier rules undoes nothing"
    await desk.read_positions()
    await desk.takes(registry.registered(recipient(0), family(0), revision=2, decile=5))
    assert await newer.sweep.turn() == 1, "what it still decides is found"
    assert (await newer.current("sembako"))[recipient(0)]["programme_version"] == 2
    await newer.check()
    await newer.close()


async def test_a_flag_that_an_instance_without_a_new_programme_takes_reaches_that_programme_too(
    desk: Desk, registry: Registry, database: str, keys: Path, programmes: Path
) -> None:
    await desk.takes(registry.registered(A, CARD, members=[ELDER]))
    text = (programmes / "bantuan-polman.yaml").read_text().replace("programme: bantuan-polman", "programme: lansia")
    (programmes / "lansia.yaml").write_text(text)
    newer = await Desk.open(database, keys, programmes=programmes, sent=desk.sent)
    assert await newer.sweep.turn() == 1
    assert (await newer.current("lansia"))[A]["outcome"] == "eligible"
    await desk.read_positions()
    await desk.takes(registry.flagged(A, "deceased"))
    assert await newer.sweep.turn() == 1
    current = (await newer.current("lansia"))[A]
    assert (current["outcome"], current["flag_revision"]) == ("ineligible", 1)
    assert await newer.sweep.turn() == 0
    await newer.check()
    await newer.close()


async def test_a_decision_of_a_programme_that_pays_one_of_a_family_names_it(desk: Desk, registry: Registry) -> None:
    await desk.takes(registry.registered(A, CARD, members=[ELDER]), registry.flagged(A, "deceased"))
    assert {event.data.family_id for event in await desk.emitted()} == {CARD}


async def test_a_new_programme_is_decided_for_everybody(
    desk: Desk, registry: Registry, database: str, keys: Path, programmes: Path
) -> None:
    await desk.takes(registry.registered(A, CARD, members=[ELDER]), registry.registered(B, CARD, role="spouse"))
    text = (programmes / "bantuan-polman.yaml").read_text().replace("programme: bantuan-polman", "programme: lansia")
    (programmes / "lansia.yaml").write_text(text)
    newer = await Desk.open(database, keys, programmes=programmes)
    assert await newer.sweep.turn() == 2
    assert {who: row["outcome"] for who, row in (await newer.current("lansia")).items()} == {
        A: "eligible",
        B: "ineligible",
    }
    await newer.check()
    await newer.close()


async def test_rules_never_go_back(desk: Desk, registry: Registry, database: str, keys: Path, programmes: Path) -> None:
    await desk.takes(registry.registered(A, CARD))
    text = (programmes / "sembako.yaml").read_text()
    (programmes / "sembako.yaml").write_text(text.replace("decile_max: 5", "decile_max: 4"))
    with pytest.raises(RulesGoBack, match="the rules of sembako differ") as caught:
        await Desk.open(database, keys, programmes=programmes)
    assert caught.value.hint == "raise `version` in sembako.yaml to 2"
    (programmes / "sembako.yaml").write_text(text.replace("version: 1", "version: 2"))
    await (await Desk.open(database, keys, programmes=programmes)).close()
    with pytest.raises(RulesGoBack, match="sembako is at version 1, decisions were made under 2"):
        await Desk.open(database, keys)
    (programmes / "sembako.yaml").unlink()
    with pytest.raises(RulesGoBack, match="the rules of sembako are missing"):
        await Desk.open(database, keys, programmes=programmes)


async def test_what_rules_were_in_force_cannot_be_rewritten(desk: Desk) -> None:
    programmes = json.loads(await desk.pool.fetchval("SELECT programmes FROM rulebook"))
    assert programmes["pkh"]["components"]["elder"]["a_year_idr"] == 2_400_000
    for statement in ("UPDATE rulebook SET programmes = '{}'", "DELETE FROM rulebook"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await desk.pool.execute(statement)


async def test_a_closed_programme_ends_for_everybody(
    desk: Desk, registry: Registry, database: str, keys: Path, programmes: Path
) -> None:
    await desk.takes(registry.registered(A, CARD))
    new_version(programmes, "sembako", "period: month", "period: month\nclosed: true")
    newer = await Desk.open(database, keys, programmes=programmes)
    assert await newer.sweep.turn() == 1
    assert (await newer.current("sembako"))[A]["reasons"] == "programme_closed"
    await newer.check()
    await newer.close()

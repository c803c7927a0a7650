"""Cycles over HTTP and on the command line: who may, what is refused, and in which words."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from salur.commands import cycle as command
from salur.stack.home import Home
from salur.stack.ports import PortBook
from services.payout import api, officers
from services.payout.store import cycles
from shared.errors import SalurError
from shared.runtime.http import create_app, serve
from tests.integration.paying import Desk, desk_on

Cli = Callable[..., Any]


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_on(database, tmp_path / "keys.json") as made:
        yield made


@pytest.fixture
async def url(desk: Desk, tmp_path: Path) -> AsyncIterator[str]:
    port = PortBook(tmp_path / "ports.json").port("payout-0")
    app = create_app("payout", list, (api.router(desk.outbox, desk.known, SecretStr("officer-token")),))
    stopping = asyncio.Event()
    serving = asyncio.create_task(serve(app, "127.0.0.1", port, stopping))
    while True:
        try:
            (await asyncio.open_connection("127.0.0.1", port))[1].close()
            break
        except OSError:
            await asyncio.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    stopping.set()
    await serving


@pytest.fixture
def salur(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs `salur cycle …` in the home of a stack; returns its JSON, or raises what it raises."""
    (tmp_path / "secrets.json").write_text('{"officer_token": "officer-token"}')
    monkeypatch.setenv("SALUR_HOME", str(tmp_path))
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)

    async def run(*arguments: str) -> Any:
        done = await asyncio.to_thread(CliRunner().invoke, app, ["cycle", *arguments])
        if isinstance(done.exception, SalurError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout) if "--json" in arguments else done.stdout

    return run


PROPOSE = ("propose", "--programme", "sembako", "--period", "2026-11", "--budget-idr", "400000", "--by", "Ani")


async def test_propose_approve_list_show(desk: Desk, salur: Cli) -> None:
    proposed = await salur(*PROPOSE, "--json")
    assert (proposed["cycle"], proposed["state"], proposed["funded_idr"]) == ("sembako-2026-11", "proposed", 0)
    await desk.decide(desk.decision(1), desk.decision(2), desk.decision(3))
    await desk.sweep_all()
    assert await desk.states() == {}, "nothing is ordered before the second officer"
    approved = await salur("approve", "--programme", "sembako", "--period", "2026-11", "--by", "Budi", "--json")
    assert (approved["state"], approved["available_idr"], approved["approved_by"]) == ("open", 400_000, "Budi")
    await desk.sweep_all()
    shown = await salur("show", "sembako-2026-11", "--json")
    assert (shown["reserved_idr"], shown["ordered"], shown["queued"], shown["queued_idr"]) == (400_000, 2, 1, 200_000)
    assert await salur("list", "--json") == [shown]
    assert "sembako-2026-11" in await salur("list")
    assert "400,000" in await salur("show", "sembako-2026-11")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*PROPOSE[:4], "2026-Q4", *PROPOSE[5:]), "paid by the month"),
        (("propose", "--programme", "pkh", *PROPOSE[3:]), "paid by the quarter"),
        (("propose", "--programme", "none", *PROPOSE[3:]), "nobody has said how"),
        ((*PROPOSE[:4], "November", *PROPOSE[5:]), "period: "),
        ((*PROPOSE[:8], " "), "by: "),
        (("show", "sembako-2027-01"), "no cycle"),
        (("approve", "sembako-2027-01", "--by", "Budi"), "no cycle"),
    ],
)
async def test_what_is_wrong_is_said_in_words(salur: Cli, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(command.CycleRefused, match=said):
        await salur(*arguments)


async def test_what_a_cycle_has_is_told_without_counting_its_payouts(desk: Desk) -> None:
    """With millions of payouts a count takes longer than a transaction may: no cycle could be proposed any more."""
    await desk.open_cycle(400_000)
    await desk.decide(*(desk.decision(n, account=n != 4) for n in range(1, 5)))
    await desk.sweep_all()
    await desk.decide(desk.decision(3, revision=2, amount_idr=300_000))
    await desk.sweep_all()
    before = await cycles.described(desk.outbox.pool, "sembako-2026-11")
    assert before is not None
    assert (before["ordered"], before["queued"], before["queued_idr"], before["failed"]) == (2, 1, 300_000, 1)
    plan = await desk.rows("EXPLAIN SELECT * FROM cycle_books WHERE cycle = 'sembako-2026-11'")
    assert "payout" not in " ".join(row[0] for row in plan)
    rows = (await desk.rows("SELECT count(*) FROM tally"))[0][0]
    await cycles.fold_tally(desk.outbox.pool, rows, 100)
    assert (await desk.rows("SELECT count(*) FROM tally"))[0][0] == rows, "not worth it"
    await asyncio.gather(*(cycles.fold_tally(desk.outbox.pool, 0, 100) for _ in range(3)))
    assert (await desk.rows("SELECT count(*) FROM tally"))[0][0] < rows
    assert await cycles.described(desk.outbox.pool, "sembako-2026-11") == before
    await desk.check_books()


async def test_the_same_officer_may_not_approve(salur: Cli) -> None:
    await salur(*PROPOSE)
    with pytest.raises(command.CycleRefused, match="has proposed"):
        await salur("approve", "sembako-2026-11", "--by", "ANI")


async def test_only_with_the_token_and_only_from_here(desk: Desk, url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "officer-token"}):
            async with session.get(f"{url}/cycles", headers=headers) as response:
                assert response.status == 401
        async with session.get(f"{url}/cycles", headers={"Authorization": "Bearer officer-token"}) as response:
            assert response.status == 200
    assert officers.is_loopback("127.0.0.1")
    assert officers.is_loopback("::1")
    assert not officers.is_loopback("10.0.0.1")
    assert not officers.is_loopback("testclient")


async def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALUR_HOME", str(tmp_path))
    monkeypatch.delenv("SALUR_OFFICER_TOKEN", raising=False)
    with pytest.raises(SalurError, match="no payout is known"):
        command.call("GET", "/cycles", None)
    with pytest.raises(SalurError, match="token"):
        command.call("GET", "/cycles", "http://127.0.0.1:9")
    other = Home.at(tmp_path / "other")
    other.make()
    other.ports.write_text(json.dumps({"payout-0": 9}))
    with pytest.raises(SalurError, match="token"):
        command.call("GET", "/cycles", None, home=other.root)
    monkeypatch.setenv("SALUR_OFFICER_TOKEN", "x")
    with pytest.raises(SalurError, match="does not answer"):
        await asyncio.to_thread(command.call, "GET", "/cycles", "http://127.0.0.1:9")

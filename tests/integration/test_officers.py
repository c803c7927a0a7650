"""Officers' tokens: which hold, and what each officer may do at the services, which trust nobody else's word."""

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from fastapi import APIRouter, Depends
from joserfc.jwk import ECKey, OctKey
from pydantic import SecretStr

from services.payout import api
from services.payout.api import MONEY
from services.payout.recovery import LOST
from services.registry.api import make_router
from services.registry.sources import Source, Sources
from shared.officers import IssuerAway, NotSignedIn, Verifier
from shared.runtime import replay_api
from shared.runtime.http import create_app
from shared.settings import OfficerSettings
from tests.fuzz.serving import served
from tests.integration import test_inside
from tests.integration.audited import World
from tests.integration.issuing import OFFICERS, Issuing, issuing
from tests.integration.paying import desk_on
from tests.integration.registry_desk import NIK, RIGHT, nik_of, open_desk
from tests.integration.test_inside import json_of

world, poisoned = test_inside.world, test_inside.poisoned


@pytest.fixture(scope="module")
async def issuer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Issuing]:
    async with issuing(tmp_path_factory.mktemp("issuer")) as made:
        yield made


async def ask(method: str, url: str, headers: dict[str, str], body: Any = None) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.request(method, url, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


def unsigned(token: str, **header: Any) -> str:
    """The token with this header and without a signature."""
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


async def holds(verifier: Verifier, token: str) -> bool:
    try:
        await verifier.officer(token)
    except NotSignedIn:
        return False
    return True


async def test_which_tokens_hold(issuer: Issuing) -> None:
    stranger = ECKey.generate_key("P-256")
    now = int(time.time())
    right = issuer.signed(sub="a", salur_area="760401", salur_roles=["read", "enter", "wizard"])
    secret = OctKey.import_key(json.dumps(issuer.key.as_dict(private=False)))
    wrong = {
        "expired": issuer.signed(exp=now - 60),
        "without an end": issuer.signed(exp=None),
        "not yet": issuer.signed(nbf=now + 600),
        "for another audience": issuer.signed(aud="salur-console"),
        "without an audience": issuer.signed(aud=None),
        "of another issuer": issuer.signed(iss="http://127.0.0.1:9"),
        "of another key under the issuer's id": issuer.signed(stranger),
        "of an unknown key": issuer.signed(stranger, header={"kid": "other"}),
        "without signature": unsigned(right, alg="none"),
        "without signature, kid named": unsigned(right, alg="none", kid=issuer.key.kid),
        "signed with the public key as a secret": issuer.signed(secret, header={"alg": "HS256"}),
        "changed": right[:-6] + ("AAAAAA" if not right.endswith("AAAAAA") else "BBBBBB"),
        "nobody's": issuer.signed(sub=None),
        "of no area": issuer.signed(salur_area=None),
        "of no region": issuer.signed(salur_area="760"),
        "of an area with a wildcard": issuer.signed(salur_area="76%1"),
        "of no roles": issuer.signed(salur_roles=None),
        "of a subject that reads like another": issuer.signed(sub="a] [b"),
        "no token": "a.b.c",
        "nothing": "..",
        "endless": right + "A" * 9000,
    }
    verifier = Verifier(issuer.settings)
    officer = await verifier.officer(right)
    assert (officer.subject, officer.area, sorted(officer.roles)) == ("a", "760401", ["enter", "read"])
    let_in = {why for why, token in wrong.items() if await holds(verifier, token)}
    assert let_in == set()
    with pytest.raises(NotSignedIn):
        await Verifier(OfficerSettings(oidc_issuer=None)).officer(right)
    with pytest.raises(IssuerAway):
        await Verifier(OfficerSettings(oidc_issuer="http://127.0.0.1:9")).officer(right)


async def test_keys_that_cannot_be_fetched_anew_hold_for_a_day(tmp_path: Path) -> None:
    hours = 0.0
    async with issuing(tmp_path) as made:
        token = made.signed(exp=int(time.time()) + 600)
        verifier = Verifier(made.settings, clock=lambda: hours * 3600)
        assert await holds(verifier, token)
    hours = 23.9
    assert await holds(verifier, token), "the issuer is away"
    hours = 24.0
    with pytest.raises(IssuerAway):
        await verifier.officer(token)


async def test_the_dependency_tells_who_is_not_known_from_who_may_not(issuer: Issuing) -> None:
    routes = APIRouter()

    @routes.get("/audited", dependencies=[Depends(issuer.access.officer("audit"))])
    def audited() -> None: ...

    async with served(create_app("toy", list, (routes,))) as url:
        statuses = {subject: (await ask("GET", f"{url}/audited", issuer.headers(subject)))[0] for subject in OFFICERS}
        assert statuses == {one.subject: 200 if "audit" in one.roles else 403 for one in OFFICERS.values()}
        for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer x"}):
            status, told = await ask("GET", f"{url}/audited", headers)
            assert (status, told["code"]) == (401, "NotSignedIn")


MAY_PROPOSE = {
    "sembako": {"pusat-pengusul", "polman-pengusul"},
    "bantuan-polman": {"pusat-pengusul", "polman-pengusul"},
}
MAY_APPROVE = {"sembako": {"pusat-pengesah"}, "bantuan-polman": {"pusat-pengesah", "polman-pengesah"}}


async def test_who_may_propose_and_approve_a_cycle(issuer: Issuing, database: str, tmp_path: Path) -> None:
    async with desk_on(database, tmp_path / "keys.json") as desk:
        router = api.router(desk.outbox, desk.known, SecretStr("program"), issuer.access)
        async with served(create_app("payout", list, (router,))) as url:
            program = {"Authorization": "Bearer program"}
            for month, (programme, subject) in enumerate(product(MAY_PROPOSE, OFFICERS), 1):
                body = {"programme": programme, "period": f"20{26 + month // 12}-{month % 12 + 1:02}", "budget_idr": 5}
                status, told = await ask("POST", f"{url}/cycles", issuer.headers(subject), body)
                assert status == (201 if subject in MAY_PROPOSE[programme] else 403), (programme, subject, told)
                if status == 201:
                    officer = OFFICERS[subject]
                    assert told["proposed_by"] == f"{officer.name} [{subject}]"
            for programme, subject in product(MAY_APPROVE, OFFICERS):
                body = {"programme": programme, "period": "2026-01", "budget_idr": 5}
                await ask("POST", f"{url}/cycles", issuer.headers("pusat-pengusul"), body)
                address = f"{url}/cycles/{programme}-2026-01/approve"
                status, told = await ask("POST", address, issuer.headers(subject), {})
                if subject not in MAY_APPROVE[programme]:
                    assert (status, told["code"]) == (403, "MayNot"), (programme, subject, told)
                else:
                    assert status in (200, 409), (programme, subject, told)  # the second of two has come too late
            told = await ask("GET", f"{url}/cycles", program)
            opened = {cycle["cycle"]: cycle["approved_by"] for cycle in told[1] if cycle["state"] == "open"}
            assert opened["sembako-2026-01"] == "Ratna Wulandari [pusat-pengesah]"
            assert len(opened) == 2


async def test_it_takes_two_people_whatever_they_call_themselves(
    issuer: Issuing, database: str, tmp_path: Path
) -> None:
    both = {"salur_roles": ["enter", "approve"], "salur_area": ""}

    def officer(subject: str, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {issuer.signed(sub=subject, name=name, **both)}"}

    async with desk_on(database, tmp_path / "keys.json") as desk:
        router = api.router(desk.outbox, desk.known, SecretStr("program"), issuer.access)
        async with served(create_app("payout", list, (router,))) as url:
            proposal = {"programme": "sembako", "period": "2026-11", "budget_idr": 400_000}
            stated = await ask("POST", f"{url}/cycles", officer("a", "Ani"), {**proposal, "by": "Budi"})
            assert (stated[0], stated[1]["code"]) == (422, "WhoActs")
            assert (await ask("POST", f"{url}/cycles", officer("a", "Ani"), proposal))[0] == 201
            assert (await ask("POST", f"{url}/cycles", officer("a", "Ani Rahman"), proposal))[0] == 200
            address = f"{url}/cycles/sembako-2026-11/approve"
            program = {"Authorization": "Bearer program"}
            for headers, body, code in (
                (officer("a", "Ani"), {}, "OwnProposal"),
                (officer("a", "Budi"), {}, "OwnProposal"),  # the same person under another name
                (program, {"by": " ani "}, "TwoDoors"),  # … or through a program on the machine
                (program, {"by": "Budi"}, "TwoDoors"),  # … under another name
            ):
                status, told = await ask("POST", address, headers, body)
                assert (status, told["code"]) == (409, code), told
            assert (await ask("POST", f"{url}/cycles", program, {**proposal, "by": "Ani"}))[0] == 409
            status, told = await ask("POST", address, program, {"by": "Budi [b]"})
            assert status == 422, "a program cannot state a subject"
            assert (await ask("POST", address, officer("b", "Ani"), {}))[0] == 200, "another person of the same name"
            for name in ("Citra [a]", "Citra"):
                with pytest.raises(asyncpg.CheckViolationError, match="four_eyes"):
                    await desk.rows("UPDATE cycle SET approved_by = $1", name)
            await desk.rows("UPDATE cycle SET approved_by = $1", LOST)  # as a recovery says of whom nobody knows
            stated = {"programme": "sembako", "period": "2026-12", "budget_idr": 5, "by": "Ani"}
            assert (await ask("POST", f"{url}/cycles", program, stated))[0] == 201
            status, told = await ask("POST", f"{url}/cycles/sembako-2026-12/approve", officer("b", "Budi"), {})
            assert (status, told["code"]) == (409, "TwoDoors")
            assert "salur cycle" in told["hint"]


SEES_MONEY = {
    "sembako": {subject for subject, one in OFFICERS.items() if one.roles and not one.area},
    "bantuan-polman": {subject for subject, one in OFFICERS.items() if one.roles and "7604".startswith(one.area)},
}


async def test_counts_and_rupiah_are_for_who_covers_the_programmes_region(
    issuer: Issuing, database: str, tmp_path: Path
) -> None:
    async with desk_on(database, tmp_path / "keys.json") as desk:
        for programme in SEES_MONEY:
            await desk.open_cycle(400_000, programme=programme)
        router = api.router(desk.outbox, desk.known, SecretStr("program"), issuer.access)
        async with served(create_app("payout", list, (router,))) as url:
            program = (await ask("GET", f"{url}/cycles", {"Authorization": "Bearer program"}))[1]
            assert {cycle["available_idr"] for cycle in program} == {400_000}
            shown: dict[str, set[str]] = {programme: set() for programme in SEES_MONEY}
            for subject in [subject for subject, one in OFFICERS.items() if one.roles]:
                headers = issuer.headers(subject)
                for cycle in (await ask("GET", f"{url}/cycles", headers))[1]:
                    assert (cycle["state"], cycle["budget_idr"], cycle["approved_by"]) == ("open", 400_000, "Budi")
                    assert (await ask("GET", f"{url}/cycles/{cycle['cycle']}", headers))[1] == cycle
                    money = {cycle[name] is not None for name in cycle if name in MONEY}
                    assert len(money) == 1, "all or nothing"
                    shown[cycle["programme"]] |= {subject} if money == {True} else set()
            assert shown == SEES_MONEY
            assert len(MONEY) == 13
            assert SEES_MONEY["bantuan-polman"] > SEES_MONEY["sembako"]


async def test_officers_register_in_their_own_area_and_name(issuer: Issuing, database: str, tmp_path: Path) -> None:
    console = Source(name="console", may=frozenset({"registration"}))
    async with open_desk(database, tmp_path) as desk:
        router = make_router(desk.outbox, desk.keyring, Sources([console]), desk.fingerprint, issuer.access)
        async with served(create_app("registry", list, (router,))) as url:
            statuses = {}
            for subject in OFFICERS:
                body = {"id": "form-1", **RIGHT}  # of the village of Karama, 7604012002
                statuses[subject], told = await ask("POST", f"{url}/registrations", issuer.headers(subject), body)
                if statuses[subject] == 202:
                    assert told["id"] == f"{subject}/form-1"
            may = {"pusat-pengusul", "polman-pengusul", "tinambung-operator", "karama-operator"}
            assert {subject for subject, status in statuses.items() if status == 202} == may
            assert {status for subject, status in statuses.items() if subject not in may} == {403}
            mine = issuer.headers("karama-operator")
            again = await ask("POST", f"{url}/registrations", mine, {"id": "form-1", **RIGHT})
            assert again[0] == 202
            changed = await ask("POST", f"{url}/registrations", mine, {"id": "form-1", **RIGHT, "decile": 3})
            assert (changed[0], changed[1]["code"]) == (409, "IdReused")
            assert len(await desk.emitted()) == len(may), "a form sent twice is one submission"
            for body in ({"id": "f", **RIGHT, "village": None}, {"id": "f", **RIGHT, "village": ["7604012002"]}):
                assert (await ask("POST", f"{url}/registrations", mine, body))[0] == 403
            assert (await ask("GET", f"{url}/registrations/karama-operator/form-1", mine))[0] == 200
            assert (await ask("GET", f"{url}/registrations/tinambung-operator/form-1", mine))[0] == 404
            assert (await ask("POST", f"{url}/flags", mine, {"id": "f"}))[0] == 403


async def test_who_stands_elsewhere_is_registered_by_an_officer_of_both_areas(
    issuer: Issuing, database: str, tmp_path: Path
) -> None:
    console = Source(name="console", may=frozenset({"registration"}))
    elsewhere = {**RIGHT, "village": "7604012004"}  # Lekopadis; Karama and Lekopadis are of Tinambung
    async with open_desk(database, tmp_path) as desk:
        await desk.handle(desk.message("polman-1", RIGHT))  # in Karama
        router = make_router(desk.outbox, desk.keyring, Sources([console]), desk.fingerprint, issuer.access)
        async with served(create_app("registry", list, (router,))) as url:

            async def register(subject: str, form: str, body: dict[str, Any]) -> tuple[int, Any]:
                return await ask("POST", f"{url}/registrations", issuer.headers(subject), {"id": form, **body})

            here = await register("lekopadis-operator", "form-1", elsewhere)
            assert (here[0], here[1]["code"]) == (403, "NeedsWiderArea")
            assert not re.search(r"r-[0-9a-f]{32}|7604|Karama", json.dumps(here[1]))
            timed = await register(
                "lekopadis-operator", "form-2", {**elsewhere, "submitted_at": "2031-01-01T00:00:00Z"}
            )
            assert (timed[0], timed[1]["code"]) == (422, "NotAsked")
            assert await desk.emitted() == []
            for form, nik in (("broken-1", NIK), ("broken-2", nik_of(8))):  # whether it is registered cannot be told
                broken = await register("lekopadis-operator", form, {**elsewhere, "nik": nik, "decile": 11})
                assert (broken[0], broken[1]["status"]) == (202, "pending")
            assert (await register("lekopadis-operator", "form-3", {**elsewhere, "nik": nik_of(7)}))[0] == 202
            assert (await register("karama-operator", "form-1", RIGHT))[0] == 202
            assert (await register("tinambung-operator", "form-1", elsewhere))[0] == 202
            assert (await register("polman-pengusul", "form-1", elsewhere))[0] == 202

            async with desk.pool.acquire() as moving:
                step = moving.transaction()  # somebody moves to Karama while an officer of Lekopadis registers
                await desk.pool.execute("UPDATE recipient SET village = $1", elsewhere["village"])
                await step.start()
                await moving.execute("UPDATE recipient SET village = $1", RIGHT["village"])
                asked = asyncio.create_task(register("lekopadis-operator", "form-4", elsewhere))
                await asyncio.wait({asked}, timeout=0.5)
                assert not asked.done()
                await step.commit()
            assert (await asked)[0] == 403


async def test_officers_of_the_centre_put_a_dead_letter_back_once(issuer: Issuing, poisoned: str, world: World) -> None:
    (letter,) = await json_of("dlq", "list")
    router = replay_api.router("eligibility", world.settings, world.keyring, issuer.access)
    async with served(create_app("eligibility", list, (router,))) as url:
        address = f"{url}/dead-letters/{letter['id']}/replay"
        may = {"pusat-auditor", "pusat-pengesah"}
        for subject in OFFICERS.keys() - may:
            assert (await ask("POST", address, issuer.headers(subject)))[0] == 403, subject
        unknown = await ask("POST", f"{url}/dead-letters/none/replay", issuer.headers("pusat-auditor"))
        assert (unknown[0], unknown[1]["code"]) == (404, "NoSuchLetter")
        place = "?partition=7&sequence=0"  # a mistaken place costs a search, no more
        status, told = await ask("POST", address + place, issuer.headers("pusat-auditor"))
        assert (status, told["state"]) == (200, "replayed"), told
        status, told = await ask("POST", address, issuer.headers("pusat-pengesah"))
        assert (status, told["state"]) == (200, "already")
        assert "Yusuf Hidayat [pusat-auditor]" in told["detail"]
    (back,) = await json_of("dlq", "list")
    assert back["replayed_by"] == "Yusuf Hidayat [pusat-auditor]"

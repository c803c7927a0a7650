"""The simulated bank, as a process of its own: each of its surprises, under concurrency, kill -9 and restart."""

import asyncio
import subprocess
import sys
import time
import zlib
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.running_simulator import Simulator, running

QUIET = ("--refused", 0, "--delayed", 0, "--timeout", 0, "--late", 0, "--cut", 0)
TOKEN = {"Authorization": "Bearer bank-token"}


def transfer(reference: str, amount_idr: int = 200_000, account: str = "001201000123456") -> dict[str, Any]:
    return {
        "partnerReferenceNo": reference,
        "amount": {"value": f"{amount_idr}.00", "currency": "IDR"},
        "beneficiaryBankCode": "002",
        "beneficiaryAccountNo": account,
        "beneficiaryAccountName": "Siti Aminah",
    }


async def call(
    bank: Simulator, path: str, body: Any, headers: dict[str, str] = TOKEN, timeout_s: float = 5
) -> tuple[int, dict[str, Any]]:
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(bank.url + path, json=body, headers=headers) as response,
    ):
        return response.status, await response.json()


async def pay(bank: Simulator, bulk_id: str, transfers: list[dict[str, Any]], timeout_s: float = 5) -> dict[str, str]:
    """Response code by reference."""
    body = {"partnerBulkId": bulk_id, "transfers": transfers}
    status, answer = await call(bank, "/v1.0/bulk-transfer", body, timeout_s=timeout_s)
    assert (status, answer["responseCode"]) == (200, "2001800")
    assert [r["partnerReferenceNo"] for r in answer["results"]] == [t["partnerReferenceNo"] for t in transfers]
    return {result["partnerReferenceNo"]: result["responseCode"] for result in answer["results"]}


async def ask(bank: Simulator, references: list[str]) -> dict[str, dict[str, str]]:
    """Status result by reference."""
    status, answer = await call(bank, "/v1.0/bulk-transfer/status", {"partnerReferenceNos": references})
    assert (status, answer["responseCode"]) == (200, "2003600")
    assert [result["partnerReferenceNo"] for result in answer["results"]] == references
    return {result["partnerReferenceNo"]: result for result in answer["results"]}


async def statuses(bank: Simulator, references: list[str]) -> Counter[str]:
    return Counter(result["latestTransactionStatus"] for result in (await ask(bank, references)).values())


async def test_paid_transfers_stand_in_the_books_once(tmp_path: Path) -> None:
    async with running("bank", tmp_path, *QUIET) as bank:
        codes = await pay(bank, "b1", [transfer("r-1"), transfer("r-2", 600_000), transfer("r-1")])
        assert codes == {"r-1": "4091801", "r-2": "2001800"}  # the second r-1 of the call
        assert await pay(bank, "b2", [transfer("r-1"), transfer("r-3")]) == {"r-1": "4091801", "r-3": "2001800"}
        books = await bank.books()
        assert [(line["reference"], line["amount_idr"]) for line in books] == [
            ("r-1", 200_000),
            ("r-2", 600_000),
            ("r-3", 200_000),
        ]
        assert (books[0]["bank"], books[0]["account"]) == ("002", "001201000123456")
        assert abs((datetime.now(UTC) - datetime.fromisoformat(books[0]["at"])).total_seconds()) < 10
        told = await ask(bank, ["r-3", "never", "r-1"])
        assert told["r-1"]["latestTransactionStatus"] == "00"
        assert len(told["r-1"]["referenceNo"]) == 15
        assert (told["never"]["latestTransactionStatus"], told["never"]["responseCode"]) == ("07", "4043601")
        summary = await bank.get("/books/summary")
        assert summary == {
            "entries": 3,
            "amount_idr": 1_000_000,
            "transfers": {"paid": 3, "refused": 0, "pending": 0, "hidden": 0},
            "refused_by_code": {},
        }
        assert await bank.get("/health") == {"status": "ok", "simulator": "bank", "window_s": 20.0}


async def test_wrong_calls_are_answered_as_the_standard_says_and_pay_nothing(tmp_path: Path) -> None:
    stale = (datetime.now(UTC) - timedelta(seconds=60)).isoformat()
    good = {"partnerBulkId": "b", "transfers": [transfer("r-1")]}
    async with running("bank", tmp_path, *QUIET, "--bulk-max", 2) as bank:
        for path, body, headers, expected in [
            ("", good, {}, (401, "4011800")),
            ("", good, {"Authorization": "Bearer wrong"}, (401, "4011800")),
            ("", good, TOKEN | {"X-TIMESTAMP": stale}, (401, "4011800")),
            ("", good, TOKEN | {"X-TIMESTAMP": "yesterday"}, (400, "4001801")),
            ("", [], TOKEN, (400, "4001800")),
            ("", {"transfers": [transfer("r-1")]}, TOKEN, (400, "4001801")),
            ("", {"partnerBulkId": "b"}, TOKEN, (400, "4001802")),
            ("", {"partnerBulkId": "b", "transfers": [transfer("r-1")] * 3}, TOKEN, (400, "4001801")),
            ("/status", {"partnerReferenceNos": ["r-1"]}, {}, (401, "4013600")),
            ("/status", {}, TOKEN, (400, "4003602")),
            ("/status", {"partnerReferenceNos": [7]}, TOKEN, (400, "4003601")),
        ]:
            status, answer = await call(bank, "/v1.0/bulk-transfer" + path, body, headers)
            assert (status, answer["responseCode"]) == expected, body
        codes = await pay(bank, "b", [transfer("bad-amount", 0), transfer("r-ok")])
        assert codes == {"bad-amount": "4001801", "r-ok": "2001800"}
        now = {"X-TIMESTAMP": datetime.now(UTC).isoformat()}
        assert (await call(bank, "/v1.0/bulk-transfer", good, TOKEN | now))[0] == 200
        assert [line["reference"] for line in await bank.books()] == ["r-ok", "r-1"]


async def test_it_tells_what_it_answered(tmp_path: Path) -> None:
    async with running("bank", tmp_path) as bank:
        await ask(bank, ["A" * 20])
        async with aiohttp.ClientSession() as session, session.get(bank.url + "/metrics") as response:
            told = await response.text()
    route = "/v1.0/bulk-transfer/status"
    assert f'simulator_http_answers_total{{route="{route}",simulator="bank",status="200"}} 1.0' in told
    assert "process_cpu_seconds_total" in told


async def test_refusals_are_by_account_and_never_pay(tmp_path: Path) -> None:
    async with running("bank", tmp_path, *QUIET, "--refused", 1) as bank:
        transfers = [transfer(f"r-{number}", account=f"{number:015d}") for number in range(300)]
        codes = await pay(bank, "b", transfers)
        refused = {reference: code for reference, code in codes.items() if code != "2001800"}
        assert set(refused.values()) == {"4031818", "4031809", "4041811"}
        told = await ask(bank, list(codes))
        for reference, code in codes.items():
            assert told[reference]["latestTransactionStatus"] == ("06" if reference in refused else "00")
            assert told[reference]["responseCode"] == code
        closed = next(t for t in transfers if codes[t["partnerReferenceNo"]] == "4031818")
        again = closed | {"partnerReferenceNo": "another-reference"}
        assert await pay(bank, "b2", [again]) == {"another-reference": "4031818"}
        assert {line["reference"] for line in await bank.books()} == set(codes) - set(refused)


async def test_delayed_transfers_are_in_progress_and_then_done(tmp_path: Path) -> None:
    async with running("bank", tmp_path, *QUIET, "--delayed", 1, "--delay-s", 1.5) as bank:
        references = [f"r-{number}" for number in range(50)]
        assert set((await pay(bank, "b", [transfer(r) for r in references])).values()) == {"2021800"}
        assert await statuses(bank, references) == {"03": 50}
        assert await bank.books() == []
        await asyncio.sleep(1.7)
        assert await statuses(bank, references) == {"00": 50}
        assert sorted(line["reference"] for line in await bank.books()) == sorted(references)


async def test_a_time_out_has_paid_and_a_late_one_pays_after_not_found(tmp_path: Path) -> None:
    options = (*QUIET, "--late", 0.5, "--timeout", 0.5, "--late-s", 2, "--window-s", 4, "--timestamp-tolerance-s", 1)
    async with running("bank", tmp_path, *options) as bank:
        references = [f"r-{number}" for number in range(200)]
        started = time.monotonic()
        assert set((await pay(bank, "b", [transfer(r) for r in references])).values()) == {"5041800"}
        told = await ask(bank, references)
        late = [r for r in references if told[r]["latestTransactionStatus"] == "07"]
        assert 60 < len(late) < 140
        assert {line["reference"] for line in await bank.books()} == set(references) - set(late)
        # Whoever sends a hidden one again is told that it is used, and it is still paid once.
        assert set((await pay(bank, "b2", [transfer(r) for r in late])).values()) == {"4091801"}
        await asyncio.sleep(started + 2.1 - time.monotonic())
        assert await statuses(bank, references) == {"00": 200}
        assert sorted(line["reference"] for line in await bank.books()) == sorted(references)


async def test_calls_without_an_answer_carry_out_a_part_and_get_through_when_repeated(tmp_path: Path) -> None:
    async with running("bank", tmp_path, *QUIET, "--cut", 1, "--hang-s", 60) as bank:
        errors = Counter[str]()
        paid = 0
        for number in range(12):
            transfers = [transfer(f"r-{number}-{place}") for place in range(10)]
            try:
                await pay(bank, f"bulk-{number}", transfers, timeout_s=0.5)
            except (TimeoutError, aiohttp.ClientError) as error:
                errors["hung" if isinstance(error, TimeoutError) else "cut"] += 1
            done = await statuses(bank, [t["partnerReferenceNo"] for t in transfers])
            paid += done["00"]
            codes = Counter((await pay(bank, f"bulk-{number}", transfers)).values())
            assert codes == Counter({"4091801": done["00"], "2001800": done["07"]})
        assert errors["hung"] > 0
        assert errors["cut"] > 0
        assert 0 < paid < 120
        books = [line["reference"] for line in await bank.books()]
        assert len(books) == len(set(books)) == 120


async def test_of_many_callers_with_one_reference_one_is_paid(tmp_path: Path) -> None:
    async with running("bank", tmp_path, *QUIET) as bank:
        transfers = [transfer(f"r-{number}") for number in range(100)]
        answers = await asyncio.gather(*(pay(bank, f"bulk-{caller}", transfers) for caller in range(20)))
        for reference in (t["partnerReferenceNo"] for t in transfers):
            assert Counter(answer[reference] for answer in answers) == {"2001800": 1, "4091801": 19}
        assert len(await bank.books()) == 100


async def test_a_limit_says_slow_down_and_keeps_nothing_of_the_rest(tmp_path: Path) -> None:
    async with running("bank", tmp_path, *QUIET, "--rate", 50) as bank:
        transfers = [transfer(f"r-{number}") for number in range(80)]
        first = await pay(bank, "b1", transfers)
        slowed = [reference for reference, code in first.items() if code == "4291800"]
        assert 25 <= len(slowed) <= 30
        assert await statuses(bank, slowed) == {"07": len(slowed)}
        await asyncio.sleep(1)
        again = await pay(bank, "b2", [t for t in transfers if t["partnerReferenceNo"] in slowed])
        assert set(again.values()) == {"2001800"}
        assert len(await bank.books()) == 80


async def test_kill_9_forgets_nothing_and_pays_nothing_twice(tmp_path: Path) -> None:
    options = ("--delayed", 0.2, "--late", 0.2, "--timeout", 0.1, "--refused", 0.1, "--cut", 0.1, "--delay-s", 3)
    options += ("--late-s", 3, "--window-s", 9)
    told: dict[str, str] = {}
    sent: list[str] = []

    async def caller(bank: Simulator, number: int) -> None:
        for round_ in range(1000):
            references = [f"c{number}-{round_}-{place}" for place in range(50)]
            sent.extend(references)
            with suppress(TimeoutError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                transfers = [transfer(r, account=f"{zlib.crc32(r.encode()):015d}") for r in references]
                told.update(await pay(bank, f"bulk-{number}-{round_}", transfers, timeout_s=0.5))

    async with running("bank", tmp_path, *options) as bank:
        callers = [asyncio.create_task(caller(bank, number)) for number in range(4)]
        await asyncio.sleep(1.2)
        await bank.kill()
        for task in callers:
            task.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    assert {"2001800", "2021800", "5041800"} <= set(told.values())

    async with running("bank", tmp_path, *options) as bank:
        # Kill it once more while delayed and late ones are due.
        await asyncio.sleep(0.4)
        await bank.kill()
    await asyncio.sleep(3)
    async with running("bank", tmp_path, *options) as bank:
        results: dict[str, dict[str, str]] = {}
        for first in range(0, len(sent), 1000):
            results |= await ask(bank, sent[first : first + 1000])
        state = {reference: result["latestTransactionStatus"] for reference, result in results.items()}
        assert "03" not in state.values()  # what fell due meanwhile was settled before the port opened
        for reference, code in told.items():
            expected = {"2001800": {"00"}, "2021800": {"00", "06"}, "5041800": {"00", "06"}}
            assert state[reference] in expected.get(code, {"06"}), (reference, code)
        books = [line["reference"] for line in await bank.books()]
        assert len(books) == len(set(books))
        assert set(books) == {reference for reference, status in state.items() if status == "00"}


async def test_a_second_bank_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    async with running("bank", tmp_path):
        second = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "simulators.bank", "--port", "0", "--data", str(tmp_path)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert second.returncode == 1
        assert "another process already runs on" in second.stderr


@pytest.mark.parametrize("wrong", [("--late-s", "30"), ("--refused", "2"), ("--delayed", "0.8", "--late", "0.5")])
def test_options_that_cannot_be_are_named(tmp_path: Path, wrong: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "simulators.bank", "--data", str(tmp_path), *wrong]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert "error:" in ended.stderr

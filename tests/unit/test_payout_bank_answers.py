"""What a bank answers is a stranger's text: whatever stands in one item, the others count, and nothing is raised."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from services.payout import configuration
from services.payout.channels import OutcomeUnknown
from services.payout.channels.bulk_answers import body_of, read_answers
from services.payout.channels.bulk_bank import BulkBank
from services.payout.domain.answers import Answer, Said

BANK = configuration.load().banks["himbara"]
BAD, GOOD = "B" * 20, "A" * 20
DONE = {"responseCode": "2001800", "latestTransactionStatus": "00", "referenceNo": "123456"}
AT = datetime(2026, 11, 30, tzinfo=UTC)

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from((BAD, GOOD, "2001800", "00")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
ITEM = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("partnerReferenceNo", "responseCode", "latestTransactionStatus", "referenceNo", "responseMessage"), JUNK
    ),
)


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        "paid",
        7,
        {},
        {"partnerReferenceNo": []},
        {"partnerReferenceNo": {}},
        {"partnerReferenceNo": None},
        {"partnerReferenceNo": 12},
        {"partnerReferenceNo": "\ud800"},
        {"partnerReferenceNo": BAD, **DONE, "responseCode": []},
        {"partnerReferenceNo": BAD, **DONE, "responseCode": 2001800},
        {"partnerReferenceNo": BAD, **DONE, "referenceNo": "x\u0000"},
        {"partnerReferenceNo": BAD, **DONE, "referenceNo": "x\ud800"},
        {"partnerReferenceNo": BAD, **DONE, "referenceNo": "nomor-é"},
        {"partnerReferenceNo": BAD, **DONE, "referenceNo": "9" * 65},
        {"partnerReferenceNo": BAD, **DONE, "referenceNo": 12},
        {"partnerReferenceNo": BAD, **DONE, "referenceNo": ["12"]},
        {"partnerReferenceNo": BAD, **DONE, "referenceNo": False},
    ],
)
def test_a_bad_item_is_no_answer_and_spoils_no_other(item: Any, asked: bool) -> None:
    good = {"partnerReferenceNo": GOOD, **DONE}
    for results in ([item, good], [good, item]):
        answers = {answer.reference: answer for answer in read_answers(BANK, results, [GOOD, BAD], asked=asked)}
        assert answers == {GOOD: Answer(GOOD, Said.DONE, None, "123456"), BAD: Answer(BAD, Said.UNCLEAR)}


def test_a_status_in_another_type_is_no_answer() -> None:
    item = {"partnerReferenceNo": BAD, **DONE, "latestTransactionStatus": {"00": 1}}
    assert read_answers(BANK, [item], [BAD], asked=True) == [Answer(BAD, Said.UNCLEAR)]


def test_an_answer_may_come_without_a_number() -> None:
    for item in ({"responseCode": "2001800"}, {**DONE, "referenceNo": ""}, {**DONE, "referenceNo": None}):
        assert read_answers(BANK, [{"partnerReferenceNo": GOOD, **item}], [GOOD], asked=False) == [
            Answer(GOOD, Said.DONE)
        ]


@given(st.lists(ITEM | JUNK, max_size=6), st.booleans())
def test_whatever_the_bank_says_each_order_has_one_answer_that_can_be_kept(results: list[Any], asked: bool) -> None:
    answers = read_answers(BANK, results, [GOOD, BAD], asked=asked)
    assert sorted(answer.reference for answer in answers) == [GOOD, BAD]
    for answer in answers:
        number = answer.bank_reference
        assert number is None or (0 < len(number) <= 64 and number.isascii() and number.isprintable())


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b'{"results": ["\\ud800", "good"]}', "good"),
        (b'{"results": ["\xff\xfe", "good"]}', "good"),
        (b'{"results": ["\xed\xa0\x80", "good"]}', "good"),
    ],
)
def test_characters_that_cannot_be_do_not_hide_the_other_items(raw: bytes, left: str) -> None:
    assert body_of(raw)["results"][-1] == left


@given(st.binary() | JUNK.map(lambda junk: repr(junk).encode(errors="surrogatepass")))
def test_any_bytes_are_read_as_an_object(raw: bytes) -> None:
    assert isinstance(body_of(raw), dict)


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"results": ' + b"9" * 5000 + b"}", b"", b"[]", b"null"])
def test_what_no_reader_takes_holds_no_results(raw: bytes) -> None:
    assert not isinstance(body_of(raw).get("results"), list)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_accounts_do_not_follow_a_redirection(status: int) -> None:
    taken, targets = [], []

    async def elsewhere(request: web.Request) -> web.Response:
        taken.append(await request.read())
        return web.Response(body=orjson.dumps({"results": []}))

    async def moved(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": targets[-1]})

    app = web.Application()
    app.router.add_route("*", "/elsewhere", elsewhere)
    app.router.add_route("*", "/{rest:.*}", moved)
    async with TestServer(app) as server:
        bank = BulkBank("himbara", BANK, str(server.make_url("/")), "token")
        # Where nobody listens the call must not look as if it had never been made: the first host has answered.
        for target in (str(server.make_url("/elsewhere")), "http://127.0.0.1:9/"):
            targets.append(target)
            with pytest.raises(OutcomeUnknown):
                await bank.ask([GOOD], stamped_at=AT)
        await bank.close()
    assert taken == []

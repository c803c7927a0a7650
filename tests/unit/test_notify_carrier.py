"""What an answer of WhatsApp's means, and when the sender stops sending."""

from typing import Any, cast

import orjson
import pytest
from fastapi import FastAPI

from services.notify.api import router
from services.notify.carriers.carrier import Answer
from services.notify.carriers.whatsapp import read_answer
from services.notify.way import LAST_ANSWERS, UNKNOWN_FEWEST, Way
from shared.runtime.emit import Outbox

# ---- answers ----


def error(code: Any) -> bytes:
    return orjson.dumps({"error": {"message": f"(#{code})", "code": code}})


@pytest.mark.parametrize(
    ("http_status", "code"),
    # 0, 3, 10, 190, 200-299, 33, 368: as Meta's list of error codes has them
    [
        (401, 0),
        (401, 190),
        (500, 3),
        (403, 10),
        (403, 200),
        (403, 230),
        (403, 299),
        (403, 368),
        (400, 33),
        (400, 133010),
        (400, 131008),
        (400, 132000),
        (400, 132012),
    ],
)
def test_a_set_up_that_is_wrong_fails_no_message(http_status: int, code: int) -> None:
    answer = read_answer(http_status, error(code))
    assert (answer.verdict, answer.everybody) == ("refused_for_now", True)


def test_a_business_number_that_is_not_there_fails_no_message() -> None:
    raw = orjson.dumps({"error": {"message": "Unsupported post request", "code": 100, "error_subcode": 33}})
    assert read_answer(400, raw) == Answer("refused_for_now", "number_not_registered", everybody=True)


@pytest.mark.parametrize("code", [None, "190", 999_999, 100])
@pytest.mark.parametrize(
    ("http_status", "name"), [(401, "not_authorised"), (403, "not_authorised"), (429, "rate_limited")]
)
def test_the_http_status_tells_where_the_code_does_not(http_status: int, name: str, code: Any) -> None:
    assert read_answer(http_status, error(code)) == Answer("refused_for_now", name, everybody=True)


@pytest.mark.parametrize("http_status", [400, 401, 403, 404, 429])
def test_a_phone_without_whatsapp_is_no_fault_of_the_way(http_status: int) -> None:
    assert read_answer(http_status, error(131026)) == Answer("refused", "not_on_whatsapp")


@pytest.mark.parametrize(
    ("http_status", "raw", "answer"),
    [
        (400, error(100), Answer("refused", "whatsapp_100")),
        (400, error(132005), Answer("refused", "whatsapp_132005")),
        (404, b"<html>", Answer("refused", "http_404")),
        (403, error(130497), Answer("refused_for_now", "country_restricted")),
        (503, error(2), Answer("unknown", "http_503")),
        (500, error(131026), Answer("unknown", "http_500")),
        (502, b"", Answer("unknown", "http_502")),
        (200, b"{}", Answer("unknown", "answer_not_understood")),
        (200, b'{"messages":[{"id":"wamid.x"}]}', Answer("accepted")),
    ],
)
def test_what_is_not_surely_refused_is_unknown(http_status: int, raw: bytes, answer: Answer) -> None:
    assert read_answer(http_status, raw) == answer


# ---- the way ----

TAKEN, NOT_HERS, LOST = Answer("accepted"), Answer("refused", "not_on_whatsapp"), Answer("unknown", "timed_out")
TOO_FAST = Answer("refused_for_now", "rate_limited", everybody=True)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def way(clock: Clock) -> Way:
    return Way(clock)


def send(way: Way, clock: Clock, answer: Answer, seconds: float, a_second: float = 80) -> int:
    """A sender with one message in flight at most; returns how many it sent."""
    sent = 0
    for _ in range(int(seconds * a_second)):
        clock.now += 1 / a_second
        if way.room(1, 0):
            sent += 1
            way.heed([answer])
    return sent


@pytest.mark.parametrize("answer", [LOST, Answer("unknown", "http_503"), Answer("unknown", "cut"), TOO_FAST])
def test_an_outage_of_ten_minutes_takes_few_messages(way: Way, clock: Clock, answer: Answer) -> None:
    way.heed([TAKEN] * LAST_ANSWERS)
    assert send(way, clock, answer, 600) < 150, "one at a time, at last every 15 s at most"
    assert way.closed
    clock.now += 15
    assert way.room(100, 0) == 1, "one probes"
    assert way.room(100, 1) == 0
    way.heed([TAKEN])
    assert way.room(100, 0) == 100


def test_what_hangs_is_tried_by_one_message_at_a_time(way: Way, clock: Clock) -> None:
    """Whole groups in flight time out: none leaves before the last of them is known."""
    way.heed([LOST] * 30)
    clock.now += 1
    assert [way.room(200, in_flight) for in_flight in (226, 1, 0)] == [0, 0, 1]


def test_answers_to_what_left_before_make_the_pause_no_longer(way: Way, clock: Clock) -> None:
    for _ in range(50):
        way.heed([LOST] * 5)
    clock.now += 0.51
    assert way.room(10, 0) == 1


@pytest.mark.parametrize("good", [TAKEN, NOT_HERS])
def test_a_few_lost_among_many_answers_slow_nothing(way: Way, clock: Clock, good: Answer) -> None:
    for number in range(2_000):
        way.heed([LOST if number % 3 == 0 else good])
        assert way.room(64, 0) == 64


def test_a_few_lost_at_first_slow_nothing(way: Way) -> None:
    way.heed([LOST] * (UNKNOWN_FEWEST - 1))
    assert not way.closed
    way.heed([LOST])
    assert way.closed


def test_once_open_again_it_takes_as_many_lost_to_close_it(way: Way, clock: Clock) -> None:
    way.heed([LOST] * LAST_ANSWERS)
    way.heed([TAKEN])
    assert not way.closed
    way.heed([LOST])
    assert not way.closed


def test_a_phone_that_gets_too_many_neither_opens_nor_closes(way: Way, clock: Clock) -> None:
    pair = Answer("refused_for_now", "too_often_to_this_phone", pause_s=6.0)
    way.heed([pair] * LAST_ANSWERS)
    assert not way.closed
    way.heed([TOO_FAST])
    way.heed([pair])
    assert way.closed


# ---- setting up the webhook ----


@pytest.mark.parametrize(
    ("held", "query", "status"),
    [
        ("", "hub.mode=subscribe&hub.challenge=7", 403),
        ("", "hub.mode=subscribe&hub.challenge=7&hub.verify_token=", 403),
        ("shared", "hub.mode=subscribe&hub.challenge=7", 403),
        ("shared", "hub.mode=subscribe&hub.challenge=7&hub.verify_token=shared", 200),
    ],
)
async def test_without_a_verify_token_nobody_is_verified(held: str, query: str, status: int) -> None:
    app = FastAPI()
    app.include_router(router(cast("Outbox", None), "secret", held))
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def take(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/webhooks/whatsapp",
        "query_string": query.encode(),
        "headers": [],
    }
    await app(scope, receive, take)
    assert sent[0]["status"] == status

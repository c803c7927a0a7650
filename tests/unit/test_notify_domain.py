"""What a message says, and what becomes of it whatever order the carrier tells it in."""

import itertools
import json
import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.domain.messages import (
    BODY_CHARS_MAX,
    LINES_MAX,
    TEMPLATE_CHARS_MAX,
    Composed,
    Confirmed,
    Decision,
    Failed,
    Named,
    compose_confirmed,
    compose_decisions,
    compose_failed,
)
from services.notify.domain.phrases import programme_and_period
from services.notify.domain.purposes import Existing, Plan, message_id, plan_decisions
from services.notify.domain.states import TRANSITIONS, Fact, Progress, State, diagram, step
from services.notify.pace import Pace
from services.notify.wording import load_names
from shared.words import Language, day, rupiah
from simulators.carrier.requests import read_message
from simulators.carrier.templates import Templates
from simulators.carrier.templates import load as load_templates

TEMPLATES = files("services.notify") / "templates.json"
NAMES = load_names()
MEETS = Named("Keluarga Anda memenuhi semua syarat.", "Your family meets every condition.")
ABOVE = Named("Desil keluarga di atas batas program. Batasnya 5.", "The decile is above the limit. It is 5.")
AT = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)

# ---- states ----

WEBHOOKS = (Fact.ACCEPTED, Fact.TOLD_DELIVERED, Fact.TOLD_READ, Fact.TOLD_FAILED)
OUTCOMES = (*WEBHOOKS, Fact.LOST)


def after(facts: tuple[Fact, ...] | list[Fact], start: State = State.SENDING) -> tuple[Progress, list[str]]:
    progress, told = Progress(start), []
    for fact in facts:
        progress, reached = step(progress, fact)
        told += reached
    return progress, told


@pytest.mark.parametrize(
    ("facts", "state", "events"),
    [
        ([Fact.ACCEPTED], "sent", ["sent"]),
        ([Fact.ACCEPTED, Fact.TOLD_DELIVERED, Fact.TOLD_READ], "read", ["sent", "delivered"]),
        ([Fact.TOLD_READ, Fact.TOLD_DELIVERED, Fact.ACCEPTED], "read", ["sent", "delivered"]),
        ([Fact.TOLD_FAILED, Fact.TOLD_DELIVERED], "delivered", ["sent", "failed", "delivered"]),
        ([Fact.TOLD_DELIVERED, Fact.TOLD_FAILED], "delivered", ["sent", "delivered"]),
        ([Fact.LOST, Fact.LOST], "unknown", ["unknown"]),
        ([Fact.LOST, Fact.ACCEPTED], "sent", ["unknown", "sent"]),
        ([Fact.ACCEPTED, Fact.LOST], "sent", ["sent"]),
        ([Fact.REFUSED], "failed", ["failed"]),
        ([Fact.REFUSED_FOR_NOW], "waiting", []),
        ([Fact.TOLD_DELIVERED, Fact.REFUSED_FOR_NOW], "delivered", ["sent", "delivered"]),
        ([Fact.LOST, Fact.REFUSED_FOR_NOW], "unknown", ["unknown"]),
    ],
)
def test_a_message_follows_the_facts(facts: list[Fact], state: str, events: list[str]) -> None:
    progress, told = after(facts)
    assert (progress.state, told) == (state, events)


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=6), st.data())
def test_the_final_state_depends_neither_on_order_nor_on_repetition(facts: list[Fact], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(facts + data.draw(st.lists(st.sampled_from(facts), max_size=6))))
    start = data.draw(st.sampled_from([State.SENDING, State.UNKNOWN, State.SENT]))
    one, told_one = after(facts, start)
    other, told_other = after(shuffled, start)
    assert one.state is other.state
    assert len(set(told_other)) == len(told_other), "an event was told twice"
    # What the carrier took and what reached the phone is told in any order; a failure only while it is not overtaken.
    assert {"sent", "delivered"} & set(told_one) == {"sent", "delivered"} & set(told_other)


@given(st.lists(st.sampled_from(list(Fact)), max_size=12))
def test_nothing_is_sent_again_once_the_carrier_may_have_it(facts: list[Fact]) -> None:
    progress = Progress(State.WAITING)
    perhaps_taken = False
    for fact in facts:
        progress, _ = step(progress, fact)
        perhaps_taken |= progress.state in (State.UNKNOWN, State.SENT, State.FAILED, State.DELIVERED, State.READ)
        assert not (perhaps_taken and progress.state in (State.WAITING, State.SENDING))


def test_only_a_waiting_message_is_claimed() -> None:
    assert [state for state, fact in TRANSITIONS if fact is Fact.CLAIMED] == [State.WAITING]


@pytest.mark.parametrize("state", list(State))
def test_a_carriers_word_counts_from_every_state(state: State) -> None:
    assert after([Fact.TOLD_DELIVERED, Fact.TOLD_READ], state)[0].state is State.READ


def test_the_reference_page_shows_the_table_of_states() -> None:
    page = Path(__file__).parents[2] / "docs/reference/notifications.md"
    assert diagram() in page.read_text(encoding="utf-8")


# ---- purposes ----


def existing(purpose: str, state: State) -> Existing:
    return Existing(message_id("r-1", purpose, "whatsapp"), purpose, state)


def planned(plan: Plan) -> list[tuple[str, str]]:
    return [(purpose, state.value) for _, purpose, state in plan.added]


def test_decisions_of_one_cause_make_one_message() -> None:
    assert planned(plan_decisions(["a", "a", "a"], [])) == [("decision:a", "waiting")]


def test_a_newer_cause_replaces_what_still_waits() -> None:
    plan = plan_decisions(["b"], [existing("decision:a", State.WAITING), existing("decision:z", State.READ)])
    assert planned(plan) == [("decision:b", "waiting")]
    assert plan.replaced == (message_id("r-1", "decision:a", "whatsapp"),)


def test_of_two_causes_at_once_the_later_waits() -> None:
    assert planned(plan_decisions(["a", "b"], [])) == [("decision:a", "superseded"), ("decision:b", "waiting")]


def test_a_cause_that_decides_more_while_its_message_waits_needs_no_further_one() -> None:
    assert plan_decisions(["a"], [existing("decision:a", State.WAITING)]) == Plan((), ())


@pytest.mark.parametrize("state", [State.SENDING, State.UNKNOWN, State.DELIVERED, State.SUPERSEDED])
def test_a_cause_that_decides_more_after_its_message_left_gets_a_further_one(state: State) -> None:
    held = [existing("decision:a", State.READ), existing("decision:a#2", state)]
    assert planned(plan_decisions(["a"], held)) == [("decision:a#3", "waiting")]


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from(list(State)), max_size=3))
def test_at_most_one_message_waits_and_no_purpose_comes_twice(causes: list[str], states: list[State]) -> None:
    held = [existing(f"decision:{c}", s) for c, s in zip("abc", states, strict=False)]
    waiting = [m for m in held if m.state is State.WAITING][:1]
    held = [m for m in held if m.state is not State.WAITING] + waiting
    plan = plan_decisions(causes, held)
    left = [m.message_id for m in waiting if m.message_id not in plan.replaced]
    left += [added.purpose for added in plan.added if added.state is State.WAITING]
    assert len(left) <= 1
    assert not {m.purpose for m in held} & {added.purpose for added in plan.added}


def test_a_message_id_follows_from_the_natural_key() -> None:
    made = message_id("r-1", "decision:a", "whatsapp")
    assert re.fullmatch(r"m-[0-9a-f]{32}", made)
    assert made == message_id("r-1", "decision:a", "whatsapp")
    others = [("r-2", "decision:a"), ("r-1", "decision:b"), ("r-1d", "ecision:a")]
    assert made not in {message_id(recipient, purpose, "whatsapp") for recipient, purpose in others}


# ---- words ----


def templates() -> Templates:
    return load_templates(Path(str(TEMPLATES)))


def shown(message: Composed) -> str:
    """The text on the phone, after the carrier's own checks."""
    body = {
        "messaging_product": "whatsapp",
        "to": "+6281234567890",
        "type": "template",
        "template": {
            "name": message.template,
            "language": {"code": message.language},
            "components": [{"type": "body", "parameters": [{"type": "text", "text": v} for v in message.values]}],
        },
    }
    taken = read_message(body, templates())
    assert taken.template is not None
    assert taken.language is not None
    return templates().text(taken.template, taken.language, taken.values)


def test_money_is_written_as_people_write_it() -> None:
    assert [rupiah(n, "id") for n in (0, 900, 200_000, 1_500_000)] == ["Rp0", "Rp900", "Rp200.000", "Rp1.500.000"]
    assert rupiah(1_500_000, "en") == "Rp1,500,000"


def test_dates_are_those_of_sulawesi() -> None:
    assert (day(AT, "id"), day(AT, "en")) == ("25 November 2026", "25 November 2026")
    assert day(datetime(2026, 8, 1, 3, tzinfo=UTC), "id") == "1 Agustus 2026"


@pytest.mark.parametrize(
    ("cycle", "language", "text"),
    [
        ("sembako-2026-11", "id", "X bulan November 2026"),
        ("pkh-2026-Q4", "id", "X tahap 4 tahun 2026"),
        ("pkh-2026-Q4", "en", "X, stage 4 of 2026"),
        ("sembako-2026-05", "en", "X for May 2026"),
        ("first", "id", "X"),
        ("c-2026-13", "id", "X"),
    ],
)
def test_a_cycle_is_called_by_its_period(cycle: str, language: Language, text: str) -> None:
    assert programme_and_period("X", cycle, language) == text


def test_several_decisions_in_one_message() -> None:
    decisions = [Decision("pkh", False, 0, ABOVE), Decision("sembako", True, 200_000, MEETS)]
    text = shown(compose_decisions("Siti Aminah", "id", decisions, NAMES))
    assert text.startswith("Halo Siti Aminah, ")
    assert "- Sembako: YA, Rp200.000 per bulan. Keluarga Anda memenuhi semua syarat.\n- PKH: TIDAK. Desil" in text
    assert "rekening Anda" in text
    assert "sanggah" in text
    english = shown(compose_decisions("Siti Aminah", "en", decisions, NAMES))
    assert "- Sembako (food): YES, Rp200,000 a month. Your family meets every condition.\n- PKH" in english
    assert "object" in english


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (Decision("sembako", True, 200_000, MEETS), "Sembako: YA, Rp200.000 per bulan."),
        (Decision("sembako", True, 200_000, MEETS, told_idr=0), "Sembako: sekarang YA, Rp200.000 per bulan."),
        (
            Decision("sembako", True, 300_000, MEETS, told_idr=200_000),
            "Sembako: YA, sekarang Rp300.000 per bulan (sebelumnya Rp200.000).",
        ),
        (Decision("sembako", False, 0, ABOVE), "Sembako: TIDAK. Desil"),
        (Decision("sembako", False, 0, ABOVE, told_idr=200_000), "Sembako: TIDAK lagi. Desil"),
        (Decision("bantuan-lain", True, 50_000, MEETS), "Bantuan Lain: YA, Rp50.000. Keluarga"),
    ],
)
def test_a_decision_is_told_against_what_was_told_before(decision: Decision, words: str) -> None:
    assert words in shown(compose_decisions("Budi", "id", [decision], NAMES))


def test_a_confirmed_payout_says_how_much_where_and_when() -> None:
    payout = Confirmed("sembako", "sembako-2026-11", 200_000, "himbara", AT)
    text = shown(compose_confirmed("Budi", "id", payout, NAMES))
    assert "Sembako bulan November 2026 sebesar Rp200.000 sudah masuk ke rekening bank Anda (Himbara)" in text
    assert "25 November 2026" in text
    other = shown(compose_confirmed("Budi", "en", payout._replace(channel="giro"), NAMES))
    assert "Rp200,000 arrived in your bank account on" in other


def test_a_failed_payout_says_what_is_wrong_and_what_to_do_once() -> None:
    reason = Named("Rekening penerima sudah ditutup. Daftarkan rekening lain.", "The account is closed. Register one.")
    text = shown(compose_failed("Budi", "id", Failed("pkh", "pkh-2026-Q4", 750_000, "account_closed", reason), NAMES))
    assert "Penyebabnya: Rekening penerima sudah ditutup.\n\nBawa KTP dan buku tabungan" in text
    dormant = Failed("pkh", "pkh-2026-Q4", 750_000, "account_dormant", reason)
    assert "activated again" in shown(compose_failed("Budi", "en", dormant, NAMES))
    unforeseen = Failed("pkh", "pkh-2026-Q4", 750_000, "something_new", reason)
    assert "petugas akan membantu" in shown(compose_failed("Budi", "id", unforeseen, NAMES))


def test_a_long_number_never_stands_in_a_message() -> None:
    leaky = Named("NIK 7604 0112 0390 0001 dan rekening 1234567890123.", "x")
    text = shown(compose_decisions("Budi", "id", [Decision("pkh", False, 0, leaky)], NAMES))
    assert not re.search(r"\d{5,}", text)
    assert "7604" not in text


WORDS = st.text(alphabet=st.sampled_from(" \n\t.,:abcXYZ0189éñ"), max_size=400)
DECISIONS = st.builds(
    Decision,
    programme=st.sampled_from([*NAMES.programmes, "bantuan-lain", "x" * 64, "a-b", "c"]),
    eligible=st.booleans(),
    amount_idr=st.integers(0, 10**15),
    reason=st.builds(Named, WORDS, WORDS),
    told_idr=st.none() | st.integers(0, 10**15),
)


@given(WORDS, st.sampled_from(["id", "en"]), st.lists(DECISIONS, min_size=1, max_size=7))
def test_any_message_passes_the_carriers_rules(name: str, language: Language, decisions: list[Decision]) -> None:
    message = compose_decisions(name, language, decisions, NAMES)
    assert len(shown(message)) <= BODY_CHARS_MAX
    for value in message.values:
        assert not re.search(r"[\n\t]| {4,}", value)
        assert value.strip() == value != ""


def test_templates_have_both_languages_and_leave_room() -> None:
    bodies = json.loads(TEMPLATES.read_text(encoding="utf-8"))
    expected = {f"decision_{n}" for n in range(1, LINES_MAX + 1)} | {
        *("payout_confirmed", "payout_failed", "access_code")
    }
    assert set(bodies) == expected
    for name, languages in bodies.items():
        assert set(languages) == {"id", "en"}
        for body in languages.values():
            fixed = re.sub(r"\{\{\d\}\}", "", body)
            assert not name.startswith("decision") or len(fixed) <= TEMPLATE_CHARS_MAX
            assert not re.search(r"^\{\{|\}\}$", body), "WhatsApp refuses a template that begins or ends with a place"
            assert not re.search(r"\}\}\s*\{\{", body.replace("\n- ", " - ").replace("\n\n", " | "))


# ---- pace ----


def test_the_pace_lets_no_second_go_over_the_rate() -> None:
    now = [0.0]
    pace = Pace(100, clock=lambda: now[0])
    sent: list[float] = []
    for tick in itertools.count():
        now[0] = tick * 0.007
        if now[0] > 5:
            break
        sent += [now[0]] * pace.take(1000)
    for start in sent:
        assert sum(start <= at < start + 1 for at in sent) <= 100 + 10
    assert len(sent) >= 480
    assert Pace(0).take(77) == 77

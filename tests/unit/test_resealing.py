"""Sealing anew: everything that can be moves to the key in use, nothing is lost or spread, and stages never go back."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.handler import with_unregistered
from services.registry.domain.fold import Flag, FlagOrder, Flags, Order
from services.registry.resealing import NotResealed, Resealed, reseal
from services.registry.resealing_store import Kept
from shared.clock import now
from shared.errors import Erased
from shared.events import RecipientResealed, caused_by, first_cause
from shared.events.codec import decode, encode
from shared.events.envelope import Event
from shared.events.topics import replay_topic
from shared.privacy import Keyring, Sealed, keyfile
from shared.runtime.resealed import flags_in, values_in
from shared.runtime.stage import Message, Received

AT = datetime(2026, 11, 30, 8, tzinfo=UTC)
WHO, OTHER = "r-" + "1" * 32, "r-" + "2" * 32
PARTS = {"eligibility": b'{"birth_date": "1990-08-17"}', "payment": b'{"bank": "002"}', "contact": b'{"name": "Siti"}'}
RAISED = Flag(True, FlagOrder(AT.date(), Order(AT, "bkn", "1")))
FLAGS = Flags(3, {"deceased": RAISED, "car_owner": RAISED._replace(raised=False)})
CAUSE = first_cause("reseal-1", "salur keys reseal")


class Keys:
    """A key file of its own, whose keys are rotated and destroyed as if time had passed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        keyfile.create(path)
        self.ring = Keyring.load(path)

    def rotate(self, *kinds: Any) -> list[str]:
        old = [keyfile.read(self.path).keys[kind][-1].id for kind in kinds]
        for kind in kinds:
            keyfile.rotate(self.path, kind, now=now() - timedelta(hours=1))
        self.ring = Keyring.load(self.path)
        return old

    def destroy(self, *key_ids: str) -> None:
        for key_id in key_ids:
            keyfile.destroy(self.path, key_id, in_use=lambda _: {})
        self.ring = Keyring.load(self.path)

    def kept(self, who: str = WHO, **more: Any) -> Kept:
        sealed = {p: self.ring.seal(p, text, recipient=who, schema=f"{p}/1").value for p, text in PARTS.items()}  # type: ignore[arg-type]
        return Kept(**{"recipient_id": who, "flag_revision": 0, "revision": 2, **sealed, **more})

    def reseal(self, *kept: Kept, flags: Flags = FLAGS) -> Resealed:
        return reseal(self.ring, kept, {one.recipient_id: flags for one in kept}, CAUSE, AT)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys.json")


def opened(keys: Keys, event: Event[RecipientResealed], part: Any) -> bytes:
    return keys.ring.open(getattr(event.data, part), part, recipient=event.subject, schema=f"{part}/1")


def test_what_is_kept_moves_to_the_keys_in_use_and_says_the_same(keys: Keys) -> None:
    before = keys.kept()
    old = keys.rotate(*PARTS)
    done = keys.reseal(before)
    (event,), (row,) = done.events, done.changed
    keys.destroy(*old)
    assert not done.not_resealed
    assert {part: opened(keys, event, part) for part in PARTS} == PARTS
    assert row == before._replace(**{part: getattr(event.data, part).value for part in PARTS})
    assert (event.subject, event.data.revision, event.data.flag_revision, event.data.flags) == (WHO, 2, 0, None)
    assert decode(RecipientResealed, encode(event)) == event


def test_who_is_under_the_keys_in_use_already_is_told_again_and_nothing_is_written(keys: Keys) -> None:
    kept = keys.kept()
    done = keys.reseal(kept)
    assert not done.changed
    assert [event.data.payment for event in done.events] == [Sealed(kept.payment or "")]
    assert done.events[0].id == keys.reseal(kept).events[0].id, "the same request makes the same events"


def test_flags_are_told_as_they_stand_also_of_somebody_who_is_not_registered(keys: Keys) -> None:
    nobody = Kept(WHO, FLAGS.revision, 0, None, None, None)
    done = keys.reseal(nobody)
    (data,) = [event.data for event in done.events]
    assert (data.revision, data.eligibility, data.payment, data.contact) == (0, None, None, None)
    assert data.flag_revision == 3
    assert json.loads(keys.ring.open(data.flags, "eligibility", recipient=WHO, schema="flags/1")) == ["deceased"]
    assert not done.changed


def test_what_is_erased_stays_so_and_the_rest_goes_on(keys: Keys) -> None:
    erased = keys.kept()
    keys.destroy(*keys.rotate("payment"))
    whole = keys.kept(OTHER)
    keys.rotate("contact")
    done = keys.reseal(erased, whole)
    assert done.not_resealed == [NotResealed(WHO, "payment", "erased")]
    assert [event.subject for event in done.events] == [WHO, OTHER]
    assert done.events[0].data.payment == erased.payment
    assert opened(keys, done.events[0], "contact") == PARTS["contact"]
    with pytest.raises(Erased):
        opened(keys, done.events[0], "payment")


@pytest.mark.parametrize(
    ("reason", "payment"),
    [
        ("cannot_open", lambda kept: (kept.payment or "")[:-8] + "A" * 8),
        ("key_missing", lambda _: f"pay-{'q' * 8}.AAAA"),
    ],
    ids=["damaged", "no such key"],
)
def test_who_has_a_value_that_does_not_open_is_left_out_and_named(keys: Keys, reason: str, payment: Any) -> None:
    kept, whole = keys.kept(), keys.kept(OTHER)
    keys.rotate("payment", "contact")
    done = keys.reseal(kept._replace(payment=payment(kept)), whole)
    assert done.not_resealed == [NotResealed(WHO, "payment", reason)]  # type: ignore[arg-type]
    assert [event.subject for event in done.events] == [row.recipient_id for row in done.changed] == [OTHER]


BOX = "Q" * 164


def told(who: str, revision: int, flag_revision: int, key: str, sequence: int | None, topic: str = "") -> Received:
    data = RecipientResealed(
        revision=revision,
        eligibility=Sealed(f"eli-{key}.{BOX}") if revision else None,
        payment=Sealed(f"pay-{key}.{BOX}") if revision else None,
        flag_revision=flag_revision,
        flags=Sealed(f"eli-{key}.{BOX}") if flag_revision else None,
    )
    event = caused_by(CAUSE, "registry", data, subject=who, time=AT)
    return Received(Message(topic or RecipientResealed.TYPE, 0, 0, sequence, who.encode(), b"", 0), event)


def test_what_was_put_back_is_passed_over() -> None:
    again = told(WHO, 1, 1, "a" * 8, None, replay_topic("eligibility"))
    forged = told(WHO, 1, 1, "a" * 8, 7, replay_topic("eligibility"))
    assert (values_in([again, forged]), flags_in([again, forged])) == ([], [])


@given(
    st.lists(st.tuples(st.sampled_from([WHO, OTHER]), st.integers(0, 3), st.integers(0, 2)), max_size=20),
    st.randoms(use_true_random=False),
)
def test_of_each_revision_the_last_that_was_told_is_taken(steps: list[tuple[str, int, int]], chance: Any) -> None:
    """One recipient's events stand in one partition, so each comes after those with lower sequences."""
    events = [
        told(who, revision, flags, "".join(chance.choices("abcdefgh", k=8)), sequence)
        for sequence, (who, revision, flags) in enumerate(steps)
    ]
    values, flags = values_in(events), flags_in(events)
    assert values == sorted(values, key=lambda row: row[:2])
    last = {(who, revision): sequence for sequence, (who, revision, _) in enumerate(steps) if revision}
    assert {(row.recipient_id, row.revision): row.sequence for row in values} == last
    last_flags = {(who, flag): sequence for sequence, (who, _, flag) in enumerate(steps) if flag}
    assert {(row.recipient_id, row.revision): row.sequence for row in flags} == last_flags
    unregistered = [row for row in with_unregistered(values) if not row.revision]
    assert {row.recipient_id: row.sequence for row in unregistered} == {
        who: max(s for (other, _), s in last.items() if other == who) for who, _ in last
    }

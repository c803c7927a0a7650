"""Faults, order, repetitions and poison follow from the seed alone."""

from datetime import UTC, datetime
from random import Random

import pytest

from salur.chaos.faults import SESSION_TIMEOUT_S, Kind, draw, shares
from salur.chaos.feed import File
from salur.chaos.links import every_link, owners
from salur.chaos.poison import LARGE_BYTES, make
from salur.intake import Upstream
from salur.intake.kinds import REGISTRATIONS
from salur.intake.sealing import Ready
from salur.population import generate
from shared.errors import CannotOpen
from shared.events.codec import Undecodable, decode
from shared.events.topics import topic_named
from shared.privacy import Keyring, keyfile, open_submission

AT = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    keyfile.create(path)
    return Keyring.load(path, only=("submission",))


@pytest.fixture(scope="module")
def upstream(keys: Keyring) -> Upstream:
    return Upstream("desk", "token", keys.public_keys())


@pytest.fixture(scope="module")
def people(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> File:
    folder = tmp_path_factory.mktemp("population")
    generate(folder, 30, 1)
    return File.read(folder / "registrations.csv", REGISTRATIONS, upstream, 8, AT)


@pytest.mark.parametrize("brokers", [1, 3])
def test_the_same_seed_draws_the_same_faults(brokers: int) -> None:
    assert draw(7, 200, brokers) == draw(7, 200, brokers)
    assert draw(7, 200, brokers) != draw(8, 200, brokers)


def test_a_short_run_has_every_kind_of_fault() -> None:
    for seed in range(50):
        faults = draw(seed, 20, 1)
        assert {fault.kind for fault in faults} == set(Kind)
        assert [fault.number for fault in faults] == list(range(1, 21))


def test_faults_hit_what_exists_and_zombies_sleep_longer_than_their_session() -> None:
    lines = {link.name for link in every_link(3)}
    faults = draw(1, 2000, 3)
    assert {f.victim for f in faults if f.kind in (Kind.SLOW, Kind.CUT, Kind.SILENCE)} == lines
    assert {f.victim for f in faults if f.kind == Kind.KILL_BROKER} == {"kafka-0", "kafka-1", "kafka-2"}
    assert all(f.for_s > SESSION_TIMEOUT_S for f in faults if f.kind == Kind.PAUSE)
    assert len({f.victim for f in faults if f.kind == Kind.PAUSE}) == len(owners())


def test_parts_of_a_run_share_its_faults() -> None:
    faults = draw(1, 20, 1)
    first, second, third = shares(faults, 0.15, 0.65)
    assert [*first, *second, *third] == faults
    assert (len(first), len(second), len(third)) == (3, 13, 4)
    assert shares([], 0.15, 0.65) == [[], [], []]


def test_a_shuffled_file_holds_the_same_submissions(people: File) -> None:
    def ids(file: File) -> list[bytes]:
        return [one.key for one in file.sealed() if isinstance(one, Ready)]

    shuffled = people.shuffled(3)
    assert ids(shuffled) != ids(people)
    assert sorted(ids(shuffled)) == sorted(ids(people))
    assert [one for piece in shuffled.slices(7) for one in ids(piece)] == ids(shuffled)
    assert set(ids(people.again(Random(1), 50))) < set(ids(people))


def test_poison_is_dead_or_rejected_as_it_says(upstream: Upstream, keys: Keyring) -> None:
    made = [make(Random(number), number, upstream) for number in range(300)]
    again = [make(Random(number), number, upstream) for number in range(300)]
    assert [(p.name, p.topic, p.key) for p in made] == [(p.name, p.topic, p.key) for p in again]
    assert len({poison.name for poison in made}) == 11
    for poison in made:
        model = topic_named(poison.topic).model
        assert model
        if poison.rejected is None:
            with pytest.raises(Undecodable):
                decode(model, poison.value)
            continue
        event = decode(model, poison.value)
        assert event.id == poison.key.decode()
        if poison.rejected == "cannot_open":
            with pytest.raises(CannotOpen):
                open_submission(keys, event.data.sealed, source=event.source, event_id=event.id)
        else:
            assert event.source != upstream.source
    assert all(len(poison.value) > LARGE_BYTES for poison in made if poison.name == "large")

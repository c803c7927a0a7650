"""The generator itself: a seed repeats its junk, every kind comes, and what is to be dead can be read by nobody."""

from itertools import islice
from pathlib import Path

import pytest

from shared.events.topics import STAGES, Service
from shared.privacy import Keyring, keyfile
from shared.runtime.deadletter import Poison
from shared.runtime.turn import decoded
from tests.fuzz.mutations import ANY, DEAD
from tests.fuzz.stages import Fuzzed, fuzzed


def of(name: Service, folder: Path, seed: int = 4) -> Fuzzed:
    keyfile.ensure(folder / "keys.json")
    return fuzzed(name, Keyring.load(folder / "keys.json"), folder, seed)


def test_a_seed_repeats_its_junk(tmp_path: Path) -> None:
    one, same, other = [list(islice(of("payout", tmp_path, seed).junk["replay.payout"], 500)) for seed in (4, 4, 5)]
    assert one == same != other
    assert {made.kind for made in one} == {*DEAD, *ANY, "empty", "oversized", "only key and headers"}


@pytest.mark.parametrize("name", STAGES)
def test_what_is_to_be_dead_can_be_read_by_nobody(name: Service, tmp_path: Path) -> None:
    stage = of(name, tmp_path)
    for topic, yard in stage.junk.items():
        for made in islice(yard, 1_500):
            event = decoded(topic, made.value, stage.inputs)
            if made.fate == "dead" and made.kind != "sealed part":
                assert isinstance(event, Poison), (topic, made.kind, (made.value or b"")[:300])
            if made.fate == "rejected":
                assert not isinstance(event, Poison), (topic, made.kind, event)


@pytest.mark.parametrize("name", STAGES)
def test_good_messages_are_good(name: Service, tmp_path: Path) -> None:
    stage = of(name, tmp_path)
    for topic, yard in stage.junk.items():
        for value in yard.good:
            assert not isinstance(decoded(topic, value, stage.inputs), Poison)

"""Faults as data: which, of whom, for how long, drawn from a seed before anything runs."""

from collections.abc import Sequence
from enum import StrEnum
from random import Random
from typing import NamedTuple

from salur.chaos.aim import Aim, aims_of
from salur.chaos.links import brokers_of, links_of, owners

SESSION_TIMEOUT_S = 6.0
"""After so long Kafka gives a silent instance's partitions to the other one. The shortest that brokers allow."""
GAP_S = (0.2, 1.0)
"""Between the beginnings of two faults; they overlap."""


class Kind(StrEnum):
    """What can happen."""

    KILL_SERVICE = "kill_service"
    """`kill -9`, as are all of these; the supervisor starts it again"""
    KILL_BANK = "kill_bank"
    KILL_CARRIER = "kill_carrier"
    KILL_POSTGRES = "kill_postgres"
    KILL_BROKER = "kill_broker"
    PAUSE = "pause"
    """SIGSTOP for longer than the session time-out, then SIGCONT: a zombie"""
    SLOW = "slow"
    """a connection on which everything comes late"""
    CUT = "cut"
    """a connection that breaks, and is refused for a while"""
    SILENCE = "silence"
    """a connection on which nothing comes and nothing ends; then everything comes"""
    POISON = "poison"
    """messages on the intake topics that nobody can process"""
    REPEAT = "repeat"
    """rows of the input files that were sent before, sealed anew"""


WEIGHTS: dict[Kind, int] = {
    Kind.KILL_SERVICE: 26,
    Kind.KILL_BANK: 5,
    Kind.KILL_CARRIER: 4,
    Kind.KILL_POSTGRES: 5,
    Kind.KILL_BROKER: 5,
    Kind.PAUSE: 9,
    Kind.SLOW: 14,
    Kind.CUT: 14,
    Kind.SILENCE: 6,
    Kind.POISON: 6,
    Kind.REPEAT: 6,
}


class Fault(NamedTuple):
    """One fault. `for_s` is how long it lasts, `delay_s` how late things come on a slow line, `amount` how many
    messages are injected, `aim` at which moment a service is hit; `gap_s` passes before it begins."""

    number: int
    kind: Kind
    victim: str
    gap_s: float
    for_s: float = 0.0
    delay_s: float = 0.0
    amount: int = 0
    aim: Aim = Aim.ANY


def draw(seed: int, count: int, brokers: int) -> list[Fault]:
    """`count` faults, the same for the same arguments; where there are enough, every kind is among them."""
    chance = Random(f"faults {seed} {brokers}")  # noqa: S311 - repeatable on purpose
    kinds = list(Kind) if count >= len(Kind) else []
    kinds += chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count - len(kinds))
    chance.shuffle(kinds)
    return [_fault(chance, number, kind, brokers) for number, kind in enumerate(kinds, 1)]


def shares(faults: Sequence[Fault], *parts: float) -> list[list[Fault]]:
    """The faults in order, cut into one piece for each part of the whole, and the rest."""
    pieces, begin, total = [], 0, 0.0
    for part in parts:
        total += part
        end = round(total * len(faults))
        pieces.append(list(faults[begin:end]))
        begin = end
    return [*pieces, list(faults[begin:])]


def _fault(chance: Random, number: int, kind: Kind, brokers: int) -> Fault:
    fault = Fault(number, kind, _victim(chance, kind, brokers), round(chance.uniform(*GAP_S), 2))
    match kind:
        case Kind.KILL_SERVICE:
            return fault._replace(aim=_aim(chance, fault.victim))
        case Kind.PAUSE:
            for_s = round(SESSION_TIMEOUT_S + chance.uniform(1, 5), 1)
            return fault._replace(for_s=for_s, aim=_aim(chance, fault.victim))
        case Kind.SLOW:
            return fault._replace(for_s=round(chance.uniform(2, 10), 1), delay_s=round(chance.uniform(0.02, 0.4), 3))
        case Kind.CUT:
            return fault._replace(for_s=round(chance.uniform(0.1, 6), 1))
        case Kind.SILENCE:  # some longer than any time-out of a client
            return fault._replace(for_s=round(chance.uniform(1, 14), 1))
        case Kind.POISON:
            return fault._replace(amount=chance.randint(1, 6))
        case Kind.REPEAT:
            return fault._replace(amount=chance.randint(20, 300))
    return fault


def _aim(chance: Random, victim: str) -> Aim:
    return chance.choice(aims_of(victim.rpartition("-")[0]))


def _victim(chance: Random, kind: Kind, brokers: int) -> str:
    match kind:
        case Kind.KILL_BANK | Kind.KILL_CARRIER | Kind.KILL_POSTGRES:
            return f"{kind.removeprefix('kill_')}-0"
        case Kind.KILL_BROKER:
            return chance.choice(brokers_of(brokers))
        case Kind.KILL_SERVICE | Kind.PAUSE:
            return chance.choice(owners())
        case Kind.SLOW | Kind.CUT | Kind.SILENCE:
            links = list(links_of(chance.choice(owners()), brokers))
            far = chance.choice(sorted({link.far.partition("-")[0] for link in links}))
            return chance.choice([link for link in links if link.far.startswith(far)]).name
    return "input"

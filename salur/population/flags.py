"""Exclusion flags that other agencies raise on people, and a few that they withdraw."""

from datetime import date, timedelta
from typing import Final, NamedTuple

from salur.population import rates
from salur.population.draw import Draw, Weighted

FLAGS: Final = tuple(rates.FIRST_FLAG)
_FIRST: Final = Weighted({**rates.FIRST_FLAG, "": 1 - sum(rates.FIRST_FLAG.values())})


class FlagRow(NamedTuple):
    """One row of flags.csv: fields and order are its columns. `since` is the day from which it holds."""

    nik: str
    flag: str
    since: str
    raised: str


class Flagged(NamedTuple):
    """What was planted on one person: `standing` flags in BPK's order, and those raised and withdrawn again."""

    rows: tuple[FlagRow, ...]
    defects: tuple[str, ...]
    standing: tuple[str, ...]
    withdrawn: tuple[str, ...]


def flagged(draw: Draw, nik: str, reference: date) -> Flagged | None:
    """The flags of a person; mostly none."""
    first = draw.weighted(_FIRST)
    if first:
        found = {first}
        if draw.chance(rates.SECOND_FLAG):
            found.add(draw.pick([flag for flag in rates.SECOND_FLAGS if flag != first]))
        standing = tuple(flag for flag in FLAGS if flag in found)
        rows = tuple(FlagRow(nik, flag, _since(draw, reference, 3000), "true") for flag in standing)
        return Flagged(rows, standing, standing, ())
    if draw.chance(rates.FLAG_WITHDRAWN / (1 - sum(rates.FIRST_FLAG.values()))):
        flag = draw.pick(FLAGS)
        raised = reference - timedelta(days=draw.between(60, 700))
        withdrawn = raised + timedelta(days=draw.between(7, 50))
        rows = (FlagRow(nik, flag, raised.isoformat(), "true"), FlagRow(nik, flag, withdrawn.isoformat(), "false"))
        return Flagged(rows, ("flag_withdrawn",), (), (flag,))
    return None


def _since(draw: Draw, reference: date, days_max: int) -> str:
    return (reference - timedelta(days=draw.between(30, days_max))).isoformat()
